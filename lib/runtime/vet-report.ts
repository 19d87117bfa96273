import type { ErrorCode } from "../errors.js";

/**
 * What the checking process tells its parent, in this order:
 * it runs and has the addon; then either llama.cpp refused the file, or it loaded, and computing with it came to an end.
 */
export type VetReport =
  | { stage: "started" }
  | { stage: "refused"; code: ErrorCode; message: string }
  | { stage: "loaded" }
  /** `failure`: what stopped it before it had tried everything. */
  | { stage: "computed"; failure?: string };
