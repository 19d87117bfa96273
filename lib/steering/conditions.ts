import { gateText, parseWhen, type GateSpec } from "./gate.js";
import { onlyText, parseAt, type Only } from "./selectors.js";

/** What the shorthand says of a gate and of selectors, before it is checked. */
interface Conditions {
  gate?: Record<string, unknown>;
  only?: Record<string, unknown>;
}

const ofGate = (gate: Record<string, unknown>): Conditions => ({ gate });
const ofOnly = (only: Record<string, unknown>): Conditions => ({ only });

/** The words of the shorthand for gates and selectors; a result of undefined: not understood. */
const WORDS: Readonly<Record<string, (value: string) => Conditions | undefined>> = {
  when: (value) => {
    const gate = parseWhen(value);
    return gate && ofGate(gate);
  },
  until: (value) => (value === "" || Number.isNaN(Number(value)) ? undefined : ofGate({ until: Number(value) })),
  per: (value) => ofGate({ per: value }),
  gate: (value) => ofGate({ shape: value }),
  at: (value) => {
    const range = parseAt(value);
    return range && ofOnly(range);
  },
  words: (value) => ofOnly({ words: value }),
  since: (value) => {
    const text = unquoted(value);
    return text === undefined ? undefined : ofOnly({ since: text });
  },
};

/** Adds a word of the shorthand to a specification; "unknown" for other words, "wrong" if its value is not understood. */
export function readCondition(spec: Record<string, unknown>, word: string, value: string): "read" | "unknown" | "wrong" {
  if (!Object.hasOwn(WORDS, word)) return "unknown";
  const read = WORDS[word]!(value);
  for (const [name, settings] of Object.entries(read ?? {})) spec[name] = { ...spec[name] as object | undefined, ...settings };
  return read ? "read" : "wrong";
}

/** Gate and selectors as the shorthand has them. */
export function conditionsText({ gate, only }: { gate?: GateSpec | undefined; only?: Only | undefined }): string[] {
  return [...(only ? onlyText(only) : []), ...(gate ? gateText(gate) : [])];
}

/** A text, in quotes as JSON has them or without. */
function unquoted(text: string): string | undefined {
  if (!text.startsWith('"')) return text;
  try {
    return String(JSON.parse(text));
  } catch {
    return undefined;
  }
}
