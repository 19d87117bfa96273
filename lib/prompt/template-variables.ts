import { SteeringError } from "../errors.js";

/** Variables of a chat template, as JSON has them. */
export type TemplateVariables = Readonly<Record<string, unknown>>;

/** What a chat itself sets, or the template language has. */
const TAKEN: readonly string[] = ["messages", "add_generation_prompt", "namespace"];
/** Texts of special tokens, e.g. `bos_token`. */
const IS_TOKEN = /_token$/;
const DEEPEST = 32;

/** Throws E_BAD_ARGUMENT for names that are taken, and for values that JSON has not. */
export function checkVariables(variables: TemplateVariables): void {
  for (const [name, value] of Object.entries(variables)) {
    if (TAKEN.includes(name)) {
      throw new SteeringError("E_BAD_ARGUMENT", `templateVariables cannot set "${name}": it belongs to the chat or to the template language`);
    }
    if (!isData(value)) {
      throw new SteeringError("E_BAD_ARGUMENT",
        `templateVariables.${name} must be text, a finite number, a boolean, null, or lists and objects of these, at most ${DEEPEST} deep`);
    }
  }
}

/** Every text in the variables, keys of objects included, and the variables with each changed; texts of special tokens are left alone. */
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
