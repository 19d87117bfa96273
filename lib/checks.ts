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
 * Parses a value with a schema. Throws `refusal` with the first problem and its path; `whole`, if given, stands in for the path if the
 * problem is the value itself.
 */
export function parsedBy<Schema extends z.ZodType>(
  schema: Schema, value: unknown, refusal: (problem: string) => SteeringError, whole = "",
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = problemOf(parsed.error.issues[0]!);
  const place = path.join(".") || whole;
  throw refusal(place === "" ? message : `${place}: ${message}`);
}

/** What is wrong with a value that a schema refuses. */
export interface Problem {
  path: PropertyKey[];
  message: string;
  /** False if the value itself has another type than the schema. */
  isOfType: boolean;
  /** Fields that the schema does not know. */
  keys?: string[] | undefined;
}

/** The issue itself or, where no alternative fits, that of the alternative that fits best: the one whose problem is deepest. */
export function problemOf(issue: z.core.$ZodIssue): Problem {
  if (issue.code !== "invalid_union" || issue.errors.length === 0) {
    const isOfType = issue.code !== "invalid_type" || issue.path.length > 0;
    return { path: issue.path, message: issue.message, isOfType, keys: issue.code === "unrecognized_keys" ? issue.keys : undefined };
  }
  const found = issue.errors.flatMap((alternative) => (alternative[0] ? [problemOf(alternative[0])] : []))
    .filter(({ isOfType }, _, all) => isOfType || all.every((each) => !each.isOfType)) // of another type, it was not meant
    .sort((a, b) => b.path.length - a.path.length);
  const best = found[0];
  if (!best) return { ...issue, isOfType: true };
  const isOfType = best.isOfType || best.path.length > 0;
  return { path: [...issue.path, ...best.path], isOfType, keys: best.keys, message: best.path.length > 0 ? best.message
    : [...new Set(found.map(({ message }) => message.replace(/^Invalid input: /, "")))].join(", or ") };
}
