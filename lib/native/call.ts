import { SteeringError, type ErrorCode } from "../errors.js";

interface NativeFailure extends Error {
  code: ErrorCode;
  llamaStatus?: number;
  state?: string;
}

/** Runs a synchronous call of the addon and turns its failures into SteeringErrors. */
export function call<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw toSteeringError(error);
  }
}

/** Awaits a call of the addon and turns its failures into SteeringErrors with the caller's stack. */
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
