import { SteeringError, type ErrorCode } from "../errors.js";

interface NativeFailure extends Error {
  code: ErrorCode;
  llamaStatus?: number;
  state?: string;
}

/** Run a synchronous call of the addon; its failures become SteeringErrors. */
export function call<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw toSteeringError(error);
  }
}

/** Await a call of the addon; its failures become SteeringErrors with the caller's stack. */
export async function callAsync<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    throw toSteeringError(error);
  }
}

function toSteeringError(error: unknown): unknown {
  const failure = error as NativeFailure;
  if (typeof failure?.code !== "string" || !failure.code.startsWith("E_")) return error;
  return new SteeringError(failure.code, failure.message, {
    ...(failure.llamaStatus ? { llamaStatus: failure.llamaStatus } : {}),
    ...(failure.state ? { state: failure.state } : {}),
    cause: error,
  });
}
