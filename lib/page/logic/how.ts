import { cleaned, isObject, within, type Changes } from "./loose.js";

/** What is done with a vector, and when; without a field, what is usual: it is added, at every token. */
export interface How {
  operator?: Operator;
  /** Whether activations keep their norms. */
  keepNorm?: true;
  gate?: Gate;
  only?: Only;
}

export const OPERATORS = ["project", "ablate", "clamp"] as const;
/** What to do with a vector other than adding it. */
export type Operator = typeof OPERATORS[number];

/** A probe that decides whether the vector acts. Exactly one of `above` and `below` is there. */
export interface Gate {
  /** Its id. */
  probe: string;
  above?: number;
  below?: number;
  /** Once open, it stays open until the probability crosses this one. */
  until?: number;
  /** Read once, after the prompt, instead of at every token. */
  per?: "prompt";
  /** Open in proportion to the probability. */
  shape?: "smooth";
}

/** The tokens of the answer at which the vector acts: those that meet all of these. */
export interface Only {
  from?: number;
  to?: number;
  words?: "first";
  since?: string;
}

const MOST_STEPS = 1e6;
const MAX_TEXT = 1000;

const isStep = (value: unknown, least: number): value is number => within(value, least, MOST_STEPS) && Number.isInteger(value);
const isChance = (value: unknown): value is number => within(value, 0, 1);

/** What of a link is understood. */
export function readHow(json: unknown): How {
  if (!isObject(json)) return {};
  const operator = OPERATORS.find((name) => name === json["operator"]);
  const keepNorm = json["keepNorm"] === true || undefined;
  return cleaned<How>({ operator, keepNorm, gate: readGate(json["gate"]), only: readOnly(json["only"]) });
}

function readGate(json: unknown): Gate | undefined {
  if (!isObject(json) || typeof json["probe"] !== "string" || json["probe"] === "") return undefined;
  const { above, below, until } = json;
  return cleaned<Gate>({
    probe: json["probe"].slice(0, 200), ...(isChance(below) ? { below } : { above: isChance(above) ? above : 0.5 }),
    until: isChance(until) ? until : undefined, per: json["per"] === "prompt" ? json["per"] : undefined,
    shape: json["shape"] === "smooth" ? json["shape"] : undefined,
  });
}

/** A gate with these changes; without a gate, one that opens at one half. */
export function gateWith(gate: Gate | undefined, changes: Changes<Gate>): Gate {
  return cleaned<Gate>({ ...(gate ?? { probe: "", above: 0.5 }), ...changes });
}

function readOnly(json: unknown): Only | undefined {
  if (!isObject(json)) return undefined;
  const { from, to, words, since } = json;
  const read = cleaned<Only>({
    from: isStep(from, 0) ? from : undefined, to: isStep(to, 1) ? to : undefined, words: words === "first" ? words : undefined,
    since: typeof since === "string" && since !== "" ? since.slice(0, MAX_TEXT) : undefined,
  });
  return Object.keys(read).length > 0 ? read : undefined;
}

const DONE: Readonly<Record<Operator, string>> = { project: "up to a target", ablate: "ablated", clamp: "clamped" };

/** The same in a few words, e.g. "ablated", "when Mood ≥ 0.5"; empty for what is usual. */
export function howWords({ operator, keepNorm, gate, only }: How, nameOf: (probe: string) => string): string[] {
  return [
    ...(operator ? [DONE[operator]] : []), ...(keepNorm ? ["norm kept"] : []), ...(gate ? [gateWords(gate, nameOf(gate.probe))] : []),
    ...(only ? onlyWords(only) : []),
  ];
}

function gateWords({ above, below, until, per, shape }: Gate, name: string): string {
  const threshold = below === undefined ? `≥ ${above}` : `≤ ${below}`;
  return `${shape === "smooth" ? "scaled by" : "when"} ${name} ${threshold}${until === undefined ? "" : ` until ${until}`}`
    + `${per === "prompt" ? ", after the prompt" : ""}`;
}

function onlyWords({ from = 0, to, words, since }: Only): string[] {
  const range = to === undefined ? `from token ${from + 1}` : `tokens ${from + 1} to ${to}`; // counted from 1, as the page shows them
  return [
    ...(from > 0 || to !== undefined ? [range] : []), ...(words ? ["first tokens of words"] : []),
    ...(since === undefined ? [] : [`after ${JSON.stringify(since)}`]),
  ];
}

/** The same in the shorthand of `--steer`, with `nameOf` for the probe; begins with a comma unless it is empty. */
export function howText({ operator, keepNorm, gate, only = {} }: How, nameOf: (probe: string) => string): string {
  const { from, to, words, since } = only;
  return [
    operator && `op=${operator}`, keepNorm && "norm=keep", (from ?? to) !== undefined && `at=${from ?? 0}-${to ?? ""}`,
    words && `words=${words}`, since !== undefined && `since=${JSON.stringify(since)}`,
    gate && `when=${nameOf(gate.probe)}${gate.below === undefined ? `>${gate.above}` : `<${gate.below}`}`,
    gate?.until !== undefined && `until=${gate.until}`, gate?.per && `per=${gate.per}`, gate?.shape && `gate=${gate.shape}`,
  ].filter((part) => typeof part === "string").map((part) => `,${part}`).join("");
}
