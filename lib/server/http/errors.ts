import { SteeringError, type ErrorCode } from "../../errors.js";

type ErrorType = "invalid_request_error" | "authentication_error" | "permission_error" | "not_found_error" | "rate_limit_error"
  | "timeout_error" | "server_error";

const TYPES: Record<number, ErrorType> = {
  401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error", 504: "timeout_error",
};

/** A refusal with its HTTP status. */
export class HttpError extends Error {
  readonly code: string | null;
  readonly param: string | null;
  /** Seconds until another attempt makes sense. */
  readonly retryAfter: number | undefined;

  constructor(
    readonly status: number, message: string,
    { code = null, param = null, retryAfter, cause }: {
      code?: string | null; param?: string | null; retryAfter?: number | undefined; cause?: unknown;
    } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.param = param;
    this.retryAfter = retryAfter;
  }

  get type(): ErrorType {
    return TYPES[this.status] ?? (this.status >= 500 ? "server_error" : "invalid_request_error");
  }

  /** The refusal in OpenAI's shape. */
  body(): { error: { message: string; type: string; param: string | null; code: string | null } } {
    const { message, type, param, code } = this;
    return { error: { message, type, param, code } };
  }
}

/** What a client can be blamed for. */
const CLIENT: Partial<Record<ErrorCode, number>> = {
  E_BAD_ARGUMENT: 400, E_BAD_SPEC: 400, E_BAD_GRAMMAR: 400, E_BAD_TOKEN: 400, E_BAD_VECTOR: 400, E_BAD_DATASET: 400, E_CONTEXT_FULL: 400,
  E_MODEL_MISMATCH: 400, E_NO_SITE: 400, E_SHAPE: 400, E_NOT_FINITE: 400, E_NOT_FOUND: 404, E_BUSY: 503, E_DISPOSED: 503, E_ABORTED: 503,
};

/** Any failure as a refusal. Failures of our own code are not described to clients. */
export function httpErrorOf(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof SteeringError) {
    const status = CLIENT[error.code] ?? 500;
    return new HttpError(status, inFields(error.message), { code: error.code, cause: error, retryAfter: status === 503 ? 1 : undefined });
  }
  const { statusCode, code, message } = error as { statusCode?: number; code?: string; message: string };
  if (statusCode === 415) return wrongType("application/json");
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) return new HttpError(statusCode, message, { code: code ?? null });
  return new HttpError(500, "the server failed at this request; its log has the reason", { code: "internal_error", cause: error });
}

export function wrongType(expected: string): HttpError {
  return new HttpError(415, `the body has the wrong content type; expected ${expected}`, { code: "unsupported_media_type" });
}

/** What the library's messages name otherwise than requests do. */
const FIELDS: Readonly<Record<string, string>> = {
  maxNewTokens: "max_tokens", firstTokens: "first_tokens", logitBias: "logit_bias", templateVariables: "template_variables",
};

/** A message of the library in the words of a request; only the command line has options. */
function inFields(message: string): string {
  const named = message.replace(/\b[a-z]+[A-Z]\w*/g, (name) => FIELDS[name] ?? name);
  return named.replace(", or pass --allow-mismatch", "");
}
