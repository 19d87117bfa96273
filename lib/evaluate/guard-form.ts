import { z } from "zod";
import { SteeringError } from "../errors.js";

/** A guard's verdict; most guards lack "controversial". */
export type SafetyLevel = "safe" | "controversial" | "unsafe";
/** From best to worst. */
export const SAFETY_LEVELS: readonly SafetyLevel[] = ["safe", "controversial", "unsafe"];

const word = z.string().min(1);
const guardFormSchema = z.strictObject({
  leads: z.array(z.string()).min(1),
  words: z.strictObject({ safe: word, controversial: word.optional(), unsafe: word }),
  categories: z.union([z.strictObject({ after: word }), z.strictObject({ pattern: z.string() })]).optional(),
});

/** The format of a guard's answers. */
export interface GuardForm {
  /** Texts that may come between the end of the chat template and the word, for example `["", "\n\n"]` or `["Safety:"]`. */
  leads: string[];
  /** The word for each level, without a leading space. */
  words: { safe: string; controversial?: string | undefined; unsafe: string };
  /**
   * Where an answer that is not safe names its categories: after some words, in the rest of the line, separated by commas; or wherever
   * a regular expression matches.
   */
  categories?: { after: string } | { pattern: string } | undefined;
}

/** Llama Guard 3 starts with two line ends. */
const PLAIN = ["", "\n\n", "\n", " "];
const CODES = { pattern: "\\b[A-Z]{1,2}\\d{1,2}\\b" };

/** The known answer formats. */
export const GUARD_FORMS: readonly GuardForm[] = [
  { leads: PLAIN, words: { safe: "safe", unsafe: "unsafe" }, categories: CODES }, // Llama Guard 2 and 3, tiny
  { leads: PLAIN, words: { safe: "No", unsafe: "Yes" }, categories: CODES }, // ShieldGemma, Granite Guardian
  { // Qwen3Guard
    leads: ["Safety:", "\n\nSafety:", "\nSafety:"],
    words: { safe: "Safe", controversial: "Controversial", unsafe: "Unsafe" },
    categories: { after: "Categories:" },
  },
];

/** Validate a form given by the caller. Throws E_BAD_ARGUMENT. */
export function checkGuardForm(form: GuardForm): GuardForm {
  const { success, data, error } = guardFormSchema.safeParse(form);
  if (!success) throw new SteeringError("E_BAD_ARGUMENT", `invalid form of a guard's verdict: ${z.prettifyError(error)}`);
  if (data.categories && "pattern" in data.categories) patternOf(data.categories.pattern);
  return data;
}

/** The categories that an answer names; the word "None" is dropped. */
export function categoriesIn(text: string, { categories }: GuardForm): string[] {
  if (!categories) return [];
  const found = "pattern" in categories
    ? text.match(patternOf(categories.pattern)) ?? []
    : lineAfter(text, categories.after).split(",");
  return [...new Set(found.map((each) => each.trim()))].filter((each) => each !== "" && !/^none$/i.test(each));
}

function lineAfter(text: string, words: string): string {
  const at = text.indexOf(words);
  return at < 0 ? "" : text.slice(at + words.length).split("\n")[0]!;
}

function patternOf(pattern: string): RegExp {
  try {
    return new RegExp(pattern, "g");
  } catch (cause) {
    throw new SteeringError("E_BAD_ARGUMENT", `"${pattern}" is not a regular expression: ${(cause as Error).message}`, { cause });
  }
}
