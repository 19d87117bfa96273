import { signal } from "@preact/signals";
import type { VectorEntry } from "../server/schemas/index.js";
import { eventsOf } from "./logic/sse.js";

/** A refusal of the server, or its silence. */
export class ApiError extends Error {
  constructor(readonly status: number, message: string, readonly code: string | null = null) {
    super(message);
  }
}

const KEY = "llama-steer-api-key";
/** Whether the server asks for a key that the page does not have. */
export const keyWanted = signal(false);

let apiKey = sessionStorage.getItem(KEY);

/** Keeps the key until the tab is closed, nowhere else. */
export function setApiKey(key: string): void {
  apiKey = key;
  sessionStorage.setItem(KEY, key);
  keyWanted.value = false;
}

export const hasApiKey = (): boolean => apiKey !== null;

/** Throws ApiError, also where the server cannot be reached. */
async function send(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const raw = body instanceof Blob;
  const headers: Record<string, string> = {};
  if (body !== undefined) headers["content-type"] = raw ? "application/octet-stream" : "application/json";
  if (apiKey !== null) headers["authorization"] = `Bearer ${apiKey}`;
  const response = await fetch(path, {
    method, headers, ...(body !== undefined && { body: raw ? body : JSON.stringify(body) }), ...(signal && { signal }),
  }).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "The server cannot be reached. Is llama-steer serve still running?");
  });
  if (response.ok) return response;
  if (response.status === 401) keyWanted.value = true;
  throw await errorOf(response);
}

async function errorOf(response: Response): Promise<ApiError> {
  const { error } = await response.json().catch(() => ({})) as { error?: { message?: string; code?: string | null } };
  return new ApiError(response.status, error?.message ?? `${response.status} ${response.statusText}`, error?.code ?? null);
}

export const get = async <T>(path: string): Promise<T> => (await send("GET", path)).json() as Promise<T>;
export const post = async <T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> =>
  (await send("POST", path, body, signal)).json() as Promise<T>;
export const patch = async <T>(path: string, body: unknown): Promise<T> => (await send("PATCH", path, body)).json() as Promise<T>;
export const remove = async (path: string): Promise<void> => void await send("DELETE", path);
export const upload = async (file: Blob): Promise<VectorEntry> => (await send("POST", "v1/vectors", file)).json() as Promise<VectorEntry>;

/** The data of each event of a stream. Throws ApiError, also for an error event. */
export async function* stream<T>(method: "GET" | "POST", path: string, body?: unknown, signal?: AbortSignal): AsyncGenerator<T> {
  const response = await send(method, path, body, signal);
  for await (const data of eventsOf(response.body!)) {
    const event = JSON.parse(data) as Awaited<T> | Failure;
    if (isFailure(event)) throw new ApiError(response.status, event.error.message, event.error.code);
    yield event;
  }
}

interface Failure {
  error: { message: string; code: string | null };
}

/** A job has an `error`, too; only a failure of the stream has nothing else. */
const isFailure = (event: unknown): event is Failure => Object.keys(event as object).join() === "error";
