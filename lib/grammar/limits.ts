import { SteeringError } from "../errors.js";

/** Elements of a grammar, after repetitions are written out. */
export const MAX_ELEMENTS = 200_000;

/** The error for a grammar that is malformed, or too large. */
export function grammarError(problem: string): SteeringError {
  return new SteeringError("E_BAD_GRAMMAR", `the grammar cannot be used: ${problem}`);
}
