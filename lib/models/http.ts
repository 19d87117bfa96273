import { SteeringError } from "../errors.js";

/** A connection closed before the end of the body: the bytes received so far are kept, and the download can be resumed. */
export class ConnectionCut extends SteeringError {
  constructor(host: string, detail: string, cause?: unknown) {
    super("E_DOWNLOAD", `the connection to ${host} was cut (${detail})`, { cause });
  }
}

export interface ExchangeOptions {
  headers?: Record<string, string> | undefined;
  /** Stops the exchange with E_ABORTED. */
  signal?: AbortSignal | undefined;
  /** Abort the exchange after this many milliseconds without data. */
  stallMs?: number | undefined;
}

type Init = { method?: "GET" | "HEAD"; redirect?: "follow" | "manual" };

/**
 * Make one HTTP request and read its response with `use`, which calls `beat` at each chunk. Throws E_DOWNLOAD if the host cannot
 * be reached, closes the connection early or sends nothing for `stallMs` (default 30,000), E_ABORTED on abort.
 */
export async function exchange<T>(
  url: string,
  init: Init,
  options: ExchangeOptions,
  use: (response: Response, beat: () => void) => Promise<T>,
): Promise<T> {
  const { signal, stallMs = 30_000 } = options;
  if (!URL.canParse(url)) throw new SteeringError("E_DOWNLOAD", `"${url}" is not a valid URL`);
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
    // Close the connection of a response that was refused without being read.
    giveUp();
  }
}

/** Fetch a document of at most `most` bytes. Throws E_DOWNLOAD (also for a redirect to another protocol), E_ABORTED. */
export async function fetchBytes(url: string, most: number, options: ExchangeOptions = {}): Promise<Buffer> {
  return exchange(url, {}, options, async (response, beat) => {
    requireSuccess(response);
    const { host, protocol } = new URL(response.url);
    if (protocol !== new URL(url).protocol) throw new SteeringError("E_DOWNLOAD", `${url} leads to ${protocol}//${host}`);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      beat();
      size += chunk.length;
      if (size > most) throw new SteeringError("E_DOWNLOAD", `${host} sends more than ${most} bytes for ${url}`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  });
}

/** The error for a download that the caller aborted. */
export function stopped(): SteeringError {
  return new SteeringError("E_ABORTED", "the download was stopped; run it again to resume it");
}

/** A host answered with an unexpected status. */
export class HttpRefusal extends SteeringError {
  constructor(readonly status: number, host: string, statusText: string) {
    super("E_DOWNLOAD", `${host} answered ${`${status} ${statusText.replace(/[^\x20-\x7e]/g, "")}`.trim()}`);
  }
}

/** Throw HttpRefusal (E_DOWNLOAD) unless the status is 2xx. */
export function requireSuccess(response: Response): void {
  if (!response.ok) throw refusal(response);
}

/** The error for a response with an unexpected status. */
export function refusal(response: Response): HttpRefusal {
  return new HttpRefusal(response.status, new URL(response.url).host, response.statusText);
}

/**
 * The error to report. fetch hides network errors in `cause`; errors without one that occur after the response arrived (full disk,
 * our own refusals) are returned unchanged.
 */
function explain(error: unknown, host: string, answered: boolean): unknown {
  // No instanceof: under jest, fetch throws another realm's TypeError.
  const { name, message, cause } = error as { name?: string; message?: string; cause?: { code?: string; message?: string } };
  const detail = cause?.code ?? cause?.message ?? message ?? "";
  if (!answered) return new SteeringError("E_DOWNLOAD", `could not reach ${host} (${detail})`, { cause: error });
  return name === "TypeError" && cause ? new ConnectionCut(host, detail, error) : error;
}

/** The address in an environment variable, else `fallback`, without a trailing slash. Throws E_BAD_ARGUMENT. */
export function addressFrom(variable: string, fallback: string): string {
  const text = (process.env[variable] || fallback).replace(/\/+$/, "");
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol) && !url.username && !url.password) return text;
  // The value may contain a password, so the message does not quote it.
  const expected = `expected an address such as ${fallback}, without a user or a password`;
  throw new SteeringError("E_BAD_ARGUMENT", `${variable} is not an address; ${expected}`);
}
