import type { z } from "zod";
import { shown, SteeringError } from "./errors.js";

// Checks of options: each throws E_BAD_ARGUMENT with the option's name, what was expected and what was found.
// `parsedBy` checks data from files.

/** Inclusive bounds of a number. */
export interface Range {
  min?: number;
  max?: number;
}

/** Throws E_BAD_ARGUMENT unless the value is a whole number within bounds. */
export function requireInteger(name: string, value: unknown, range: Range = {}): void {
  if (!Number.isInteger(value) || !isWithin(value as number, range)) throw wrong(name, `a whole number${inWords(range)}`, value);
}

/** Throws E_BAD_ARGUMENT unless the value is a finite number within bounds and, if `above` is given, greater than it. */
export function requireNumber(name: string, value: unknown, { above, ...range }: Range & { above?: number } = {}): void {
  if (Number.isFinite(value) && isWithin(value as number, range) && (above === undefined || (value as number) > above)) return;
  const bounds = above === undefined ? inWords(range) : ` above ${above}${range.max === undefined ? "" : ` and at most ${range.max}`}`;
  throw wrong(name, `a number${bounds}`, value);
}

/** Throws E_BAD_ARGUMENT unless the value is one of the known words. */
export function requireOneOf(name: string, value: unknown, known: readonly string[]): void {
  if (!known.includes(value as string)) throw wrong(name, `one of ${known.join(", ")}`, value);
}

function wrong(name: string, expected: string, value: unknown): SteeringError {
  return new SteeringError("E_BAD_ARGUMENT", `${name} must be ${expected}, not ${shown(value)}`);
}

function isWithin(value: number, { min = -Infinity, max = Infinity }: Range): boolean {
  return value >= min && value <= max;
}

function inWords({ min, max }: Range): string {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`;
  if (min !== undefined) return ` of at least ${min}`;
  if (max !== undefined) return ` of at most ${max}`;
  return "";
}

/**
 * Parses a value with a schema. Throws `refusal` with the first problem and its path; `whole` stands in for the path if the problem is
 * the value itself.
 */
export function parsedBy<Schema extends z.ZodType>(
  schema: Schema, value: unknown, refusal: (problem: string) => SteeringError, whole = "",
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw refusal(`${path.join(".") || whole}: ${message}`);
}
