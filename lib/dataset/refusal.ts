import { SteeringError } from "../errors.js";

/** Describe a value for a message, e.g. `the number 5`. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return value === "" ? "an empty text" : typeof value === "string" ? "a text" : `the ${typeof value} ${String(value)}`;
}

/** The error for a bad dataset file. */
export function bad(path: string, place: string | undefined, reason: string, cause?: unknown): SteeringError {
  return new SteeringError("E_BAD_DATASET", `${path}: ${place ? `${place}: ` : ""}${reason}`, { cause });
}
