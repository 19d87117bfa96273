import type { ErrorCode } from "../lib/index.js";

/** Exit codes of the command line, by kind of failure; see docs/errors.md. */
export const EXIT = { ok: 0, failure: 1, usage: 2, input: 3, download: 4, installation: 5, interrupted: 130 } as const;

const BY_CODE: Record<ErrorCode, number> = {
  E_BAD_ARGUMENT: EXIT.usage,
  E_BAD_RUN: EXIT.input,
  E_BAD_SPEC: EXIT.usage,
  E_BAD_DATASET: EXIT.input,
  E_BAD_GRAMMAR: EXIT.input,
  E_BAD_GGUF: EXIT.input,
  E_BAD_TOKEN: EXIT.input,
  E_BAD_VECTOR: EXIT.input,
  E_CONTEXT_FULL: EXIT.input,
  E_MODEL_MISMATCH: EXIT.input,
  E_NO_SITE: EXIT.input,
  E_NOT_FINITE: EXIT.input,
  E_NOT_FOUND: EXIT.input,
  E_SHAPE: EXIT.input,
  E_WRITE: EXIT.input,
  E_DOWNLOAD: EXIT.download,
  E_NATIVE: EXIT.installation,
  E_NOT_INSTALLED: EXIT.installation,
  E_ABORTED: EXIT.interrupted,
  E_BUSY: EXIT.failure,
  E_DISPOSED: EXIT.failure,
  E_LLAMA: EXIT.failure,
  E_NO_KV_SLOT: EXIT.failure,
};

export function exitCode(code: ErrorCode): number {
  return BY_CODE[code];
}
