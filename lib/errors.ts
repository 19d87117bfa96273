/** Every way in which llama-steer can refuse; `docs/errors.md` explains each and what to do. */
export type ErrorCode =
  | "E_ABORTED"          // the caller's AbortSignal fired
  | "E_BAD_ARGUMENT"     // an argument of the wrong type or range
  | "E_BAD_DATASET"      // a dataset file or row that is not what was expected
  | "E_BAD_GGUF"         // a model file that llama.cpp cannot load
  | "E_BAD_RUN"          // a run's folder that is malformed, incomplete, or of another run
  | "E_BAD_SPEC"         // a steering specification that does not parse
  | "E_BAD_TOKEN"        // a token id outside the vocabulary
  | "E_BAD_VECTOR"       // a vector or probe file that is malformed or of an unknown format version
  | "E_BUSY"             // a second job on a context that still works, or a model that another process downloads
  | "E_CONTEXT_FULL"     // the prompt and the answer do not fit into the context
  | "E_DISPOSED"         // use after dispose()
  | "E_DOWNLOAD"         // no source of a model could be reached or verified
  | "E_MODEL_MISMATCH"   // a vector or probe that was made with another model
  | "E_NATIVE"           // the addon or llama.cpp's libraries are missing or of another version
  | "E_NO_KV_SLOT"       // llama.cpp found no room in the KV cache
  | "E_NO_SITE"          // the graph never showed the hook site that was asked for
  | "E_NOT_FINITE"       // NaN or infinity in a vector or in the logits
  | "E_NOT_FOUND"        // a file, model or dataset that does not exist
  | "E_SHAPE"            // sizes that do not agree
  | "E_WRITE"            // a file or folder that cannot be written
  | "E_LLAMA";           // llama.cpp reported a failure that has no code of its own

/** What is known beside the code and the message. */
export interface SteeringErrorOptions {
  /** Status that llama.cpp returned, where it returned one. */
  llamaStatus?: number;
  /** What the failed call left behind, e.g. "KV cache unchanged". */
  state?: string;
  cause?: unknown;
}

/** The only error class that llama-steer throws on purpose: branch on `code`, show `message`. */
export class SteeringError extends Error {
  override readonly name = "SteeringError";
  readonly code: ErrorCode;
  readonly llamaStatus: number | undefined;
  readonly state: string | undefined;

  constructor(code: ErrorCode, message: string, options: SteeringErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.llamaStatus = options.llamaStatus;
    this.state = options.state;
  }
}

/** Throws E_ABORTED when the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

export function abortError(signal: AbortSignal): SteeringError {
  return new SteeringError("E_ABORTED", "the work was stopped before its end", { cause: signal.reason });
}

/** Any value, for a message: JSON where it can hold the value. */
export function shown(value: unknown): string {
  if (typeof value === "number") return String(value); // JSON has no NaN and no Infinity
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return `a value of type ${typeof value}`;
  }
}
