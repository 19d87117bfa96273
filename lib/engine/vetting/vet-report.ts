import type { ErrorCode } from "../../errors.js";

/**
 * What the checking process tells its parent, in this order:
 * it runs and has the addon; then either the file is refused, or it loaded, and computing with it came to an end.
 */
export type VetReport =
  | { stage: "started" }
  | { stage: "refused"; code: ErrorCode; message: string }
  | { stage: "loaded" }
  /** `failure`: why it could not be computed with, though nothing crashed; memory may be short just now. */
  | { stage: "computed"; failure?: string };
