import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";

/** Longest text to wait for. */
const MAX_SINCE = 1000;

/** At which tokens of its phases a vector is added: where everything given here holds. */
export const onlySchema = z.strictObject({
  /** Token steps, counted in the vector's phases: from `from` up to but excluding `to`. */
  from: z.number().int().min(0).optional(),
  to: z.number().int().min(1).optional(),
  /** `first`: on the row of each token that begins a word, and on the row before the first token. */
  words: z.enum(["first"]).optional(),
  /** Once what was generated contains this text. */
  since: z.string().min(1).max(MAX_SINCE).optional(),
}).refine(({ from = 0, to = Infinity }) => from < to, "to must be above from");
/** At which tokens of its phases a vector is added. */
export type Only = z.infer<typeof onlySchema>;

/** Validate selectors. Throws E_BAD_SPEC, naming the selector. */
export function parseOnly(input: Only | undefined): Only | undefined {
  if (input === undefined) return undefined;
  const parsed = parsedBy(onlySchema, input, (problem) => new SteeringError("E_BAD_SPEC", `only ${problem}`), "selectors");
  return Object.keys(parsed).length === 0 ? undefined : parsed;
}

/** What the selectors ask of the text so far. */
export interface TextSoFar {
  text: string;
  /** True if its last token begins a word, and while there is none. */
  isWordStart: boolean;
}

/** True if a steering's selectors read the text. */
export function readsText(steer: ReadonlyArray<{ only?: Only | undefined }>): boolean {
  return steer.some(({ only }) => only?.words !== undefined || only?.since !== undefined);
}

/** True if a step is selected; `own`: the token step in the vector's phases. */
export function isSelected({ from = 0, to = Infinity, words, since }: Only, own: number, soFar: TextSoFar | undefined): boolean {
  if (own < from || own >= to) return false;
  if (words === "first" && !soFar?.isWordStart) return false;
  return since === undefined || (soFar?.text.includes(since) ?? false);
}

/** Reads `at=5-20`, `at=5-` or `at=5` of the shorthand; undefined for anything else. */
export function parseAt(text: string): Pick<Only, "from" | "to"> | undefined {
  const found = /^(\d+)(?:(-)(\d*))?$/.exec(text);
  if (!found) return undefined;
  const from = Number(found[1]);
  if (found[2] === undefined) return { from, to: from + 1 };
  return { from, ...(found[3] !== "" && { to: Number(found[3]) }) };
}

/** Selectors as the shorthand has them. */
export function onlyText({ from, to, words, since }: Only): string[] {
  return [
    ...(from === undefined && to === undefined ? [] : [`at=${from ?? 0}-${to ?? ""}`]), ...(words === undefined ? [] : [`words=${words}`]),
    ...(since === undefined ? [] : [`since=${JSON.stringify(since)}`]),
  ];
}
