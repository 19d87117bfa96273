import { SteeringError } from "../errors.js";

/** Variables of a chat template, with JSON values. */
export type TemplateVariables = Readonly<Record<string, unknown>>;

/** Names that the chat itself sets or the template language defines. */
const TAKEN: readonly string[] = ["messages", "add_generation_prompt", "namespace"];
/** Texts of special tokens, e.g. `bos_token`. */
const IS_TOKEN = /_token$/;
const DEEPEST = 32;

/** Throws E_BAD_ARGUMENT for reserved names and for values that JSON cannot represent. */
export function checkVariables(variables: TemplateVariables): void {
  for (const [name, value] of Object.entries(variables)) {
    if (TAKEN.includes(name)) {
      throw new SteeringError("E_BAD_ARGUMENT",
        `templateVariables cannot set "${name}": the chat or the template language defines it. Choose another name`);
    }
    if (!isData(value)) {
      throw new SteeringError("E_BAD_ARGUMENT",
        `templateVariables.${name} must be a string, a finite number, a boolean, null, or lists and objects of these, `
        + `at most ${DEEPEST} levels deep`);
    }
  }
}

/** Collects and changes every string in the variables, including objects' keys, except texts of special tokens. */
export function eachText(
  variables: TemplateVariables, change: (text: string) => string = (text) => text,
): { texts: string[]; variables: Record<string, unknown> } {
  const texts: string[] = [];
  const changedText = (text: string): string => {
    texts.push(text);
    return change(text);
  };
  const changed = (value: unknown): unknown => {
    if (typeof value === "string") return changedText(value);
    if (Array.isArray(value)) return value.map(changed);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [changedText(key), changed(each)]));
  };
  const entries = Object.entries(variables).map(([name, value]) => [name, IS_TOKEN.test(name) ? value : changed(value)]);
  return { variables: Object.fromEntries(entries) as Record<string, unknown>, texts };
}

function isData(value: unknown, depth = 0): boolean {
  if (depth > DEEPEST) return false;
  if (Array.isArray(value)) return value.every((each) => isData(each, depth + 1));
  if (value === null || typeof value === "string" || typeof value === "boolean") return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || Object.prototype.toString.call(value) !== "[object Object]") return false;
  return Object.values(value).every((each) => isData(each, depth + 1));
}
