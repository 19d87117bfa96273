/** The code of every error that llama-steer throws; `docs/errors.md` explains each one and what to do about it. */
export type ErrorCode =
  | "E_ABORTED"          // the caller's AbortSignal fired
  | "E_BAD_ARGUMENT"     // an argument of the wrong type or range
  | "E_BAD_DATASET"      // a malformed dataset file or row
  | "E_BAD_GGUF"         // a model file that llama.cpp cannot load
  | "E_BAD_GRAMMAR"      // a grammar or JSON schema that is malformed, unsupported, or too large
  | "E_BAD_RUN"          // a run folder that is malformed, incomplete, or belongs to another run
  | "E_BAD_SPEC"         // a steering specification that does not parse
  | "E_BAD_TOKEN"        // a token id outside the vocabulary
  | "E_BAD_VECTOR"       // a vector or probe file that is malformed or has an unknown format version
  | "E_BUSY"             // a context that is still running another job, or a model that another process is downloading
  | "E_CONTEXT_FULL"     // the prompt and the answer do not fit into the context
  | "E_DISPOSED"         // use after dispose()
  | "E_DOWNLOAD"         // no download source of a model could be reached and verified
  | "E_MODEL_MISMATCH"   // a vector or probe made with another model
  | "E_NATIVE"           // the addon or llama.cpp's libraries are missing or have the wrong version
  | "E_NO_KV_SLOT"       // llama.cpp found no room in the KV cache
  | "E_NO_SITE"          // the model's graph does not have the requested hook site
  | "E_NOT_FINITE"       // NaN or infinity in a vector or in the logits
  | "E_NOT_FOUND"        // a file, model or dataset that does not exist
  | "E_NOT_INSTALLED"    // a package that only some functions need, and that is not installed
  | "E_SHAPE"            // sizes that do not match
  | "E_WRITE"            // a file or folder that cannot be written
  | "E_LLAMA";           // any other failure that llama.cpp reported

/** Details of an error beyond its code and message. */
export interface SteeringErrorOptions {
  /** The status that llama.cpp returned, if any. */
  llamaStatus?: number;
  /** The state in which the failed call left things, e.g. "KV cache unchanged". */
  state?: string;
  cause?: unknown;
}

/** The only error class that llama-steer throws deliberately: branch on `code`, show `message`. */
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

/** Throws E_ABORTED if the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

export function abortError(signal: AbortSignal): SteeringError {
  return new SteeringError("E_ABORTED", "the work was aborted before it finished", { cause: signal.reason });
}

/** Formats any value for a message, as JSON if possible. */
export function shown(value: unknown): string {
  if (typeof value === "number") return String(value); // JSON has no NaN and no Infinity
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return `a value of type ${typeof value}`;
  }
}
