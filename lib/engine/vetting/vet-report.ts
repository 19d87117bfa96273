import type { ErrorCode } from "../../errors.js";

/**
 * Reports of the checking process to its parent, in this order: it has started and loaded the addon; then either the file was refused, or
 * it was loaded and then computed with.
 */
export type VetReport =
  | { stage: "started" }
  | { stage: "refused"; code: ErrorCode; message: string }
  | { stage: "loaded" }
  /** `failure`: why the computation failed without a crash; memory may have been short. */
  | { stage: "computed"; failure?: string };
