import { SteeringError } from "../errors.js";

/** Thrown where a connection ended before the body did: what arrived so far is kept and can be resumed. */
export class ConnectionCut extends SteeringError {
  constructor(host: string, detail: string, cause?: unknown) {
    super("E_DOWNLOAD", `the connection to ${host} was cut (${detail})`, { cause });
  }
}

export interface ExchangeOptions {
  headers?: Record<string, string> | undefined;
  /** Stops the exchange with E_ABORTED. */
  signal?: AbortSignal | undefined;
  /** Milliseconds without a byte after which the exchange is given up. */
  stallMs?: number | undefined;
}

type Init = { method?: "GET" | "HEAD"; redirect?: "follow" | "manual" };

/**
 * One HTTP request, its response read by `use`, which calls `beat` at each chunk;
 * E_DOWNLOAD when the host cannot be reached, cuts the connection or is silent for `stallMs` (30 s), E_ABORTED on abort.
 */
export async function exchange<T>(
  url: string,
  init: Init,
  options: ExchangeOptions,
  use: (response: Response, beat: () => void) => Promise<T>,
): Promise<T> {
  const { signal, stallMs = 30_000 } = options;
  if (!URL.canParse(url)) throw new SteeringError("E_DOWNLOAD", `"${url}" is not an address that can be asked`);
  const host = new URL(url).host;
  const controller = new AbortController();
  const giveUp = () => controller.abort();
  let stalled = false;
  let answered = false;
  const timer = setTimeout(() => { stalled = true; giveUp(); }, stallMs);
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    signal?.throwIfAborted();
    const response = await fetch(url, { ...init, headers: options.headers ?? {}, signal: controller.signal });
    answered = true;
    timer.refresh();
    return await use(response, () => timer.refresh());
  } catch (error) {
    if (signal?.aborted) throw stopped();
    if (stalled) throw new SteeringError("E_DOWNLOAD", `no data from ${host} for ${stallMs / 1000} s`, { cause: error });
    throw explain(error, host, answered);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
    // Drops the connection of a response that was refused unread.
    giveUp();
  }
}

/** The error of a caller who stopped a download. */
export function stopped(): SteeringError {
  return new SteeringError("E_ABORTED", "the download was stopped; what is complete is kept for the next one");
}

/** A host that answered with a status that was not asked for. */
export class HttpRefusal extends SteeringError {
  constructor(readonly status: number, host: string, statusText: string) {
    super("E_DOWNLOAD", `${host} answered ${`${status} ${statusText.replace(/[^\x20-\x7e]/g, "")}`.trim()}`);
  }
}

/** Throw HttpRefusal (E_DOWNLOAD) unless the status is 2xx. */
export function requireSuccess(response: Response): void {
  if (!response.ok) throw refusal(response);
}

/** The error of a response whose status was not expected. */
export function refusal(response: Response): HttpRefusal {
  return new HttpRefusal(response.status, new URL(response.url).host, response.statusText);
}

/**
 * fetch hides the network's own error in `cause`. Anything without one that comes after the answer (disk full, our own
 * refusals) passes as it is.
 */
function explain(error: unknown, host: string, answered: boolean): unknown {
  // No instanceof: under jest fetch throws the TypeError of another realm.
  const { name, message, cause } = error as { name?: string; message?: string; cause?: { code?: string; message?: string } };
  const detail = cause?.code ?? cause?.message ?? message ?? "";
  if (!answered) return new SteeringError("E_DOWNLOAD", `could not reach ${host} (${detail})`, { cause: error });
  return name === "TypeError" && cause ? new ConnectionCut(host, detail, error) : error;
}

/** The address in an environment variable, or `fallback`, without a slash at its end. Throws E_BAD_ARGUMENT. */
export function addressFrom(variable: string, fallback: string): string {
  const text = (process.env[variable] || fallback).replace(/\/+$/, "");
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol) && !url.username && !url.password) return text;
  // Not repeated here: it may hold a password.
  const expected = `expected one such as ${fallback}, without a user or a password`;
  throw new SteeringError("E_BAD_ARGUMENT", `${variable} is not an address; ${expected}`);
}
