import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";
import { conditionsText, readCondition } from "./conditions.js";
import { gateSchema } from "./gate.js";
import { checkOperator, operatorSchema, writtenOperation } from "./operators.js";
import { checkConditions, checkPhases, phasesSchema } from "./phases.js";
import { FACTS } from "./schedule-kinds.js";
import { scheduleSchema, tailSchema, type WrittenSchedule } from "./schedule.js";
import { onlySchema } from "./selectors.js";

const indices = z.union([z.literal("all"), z.array(z.number().int().min(0)).min(1)]).default("all");

/**
 * The steering specification of library, command line and files: which vector to add, which parts of it, how strongly, what to add
 * after its last step, and when.
 */
export const steeringSpecSchema = z.strictObject({
  /** Path of a vector file. */
  vector: z.string("expected the path of a vector file").min(1),
  /** Layers and, at `head_out`, heads of the vector to add; 0-based. */
  layers: indices,
  heads: indices,
  schedule: scheduleSchema,
  tail: tailSchema,
  phases: phasesSchema,
  /** At which tokens of these phases. */
  only: onlySchema.optional(),
  /** When at all, by what a probe reads. */
  gate: gateSchema.optional(),
  /** What to do with the vector, and whether activations keep their norms; default: add it, and no. */
  operator: operatorSchema.optional(),
  keepNorm: z.boolean().optional(),
});
/** A vector to add: which parts of it, how strongly, what to add after its last step, and when. */
export type SteeringSpec = z.infer<typeof steeringSpecSchema>;
export const writtenSpecSchema = steeringSpecSchema.partial({ schedule: true });
/** A steering specification with optional settings. Without a schedule, the vector's calibrated one is used. */
export type WrittenSpec = z.input<typeof writtenSpecSchema>;

/** JSON Schema (draft 2020-12) of a steering file: one specification, or a list to compose. */
export function steeringJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(z.union([writtenSpecSchema, z.array(writtenSpecSchema).min(1)]), { io: "input" }) as Record<string, unknown>;
}

const EXPECTED_JSON = 'expected {"vector": "FILE.safetensors", "schedule": {"kind": "fixed", "alpha": 1}}, or a list of these';

/** Validate the content of a steering file. Throws E_BAD_SPEC, naming the place. */
export function parseSpecs(json: unknown, name: string): Array<z.output<typeof writtenSpecSchema>> {
  const specs = Array.isArray(json) ? json : [json];
  return parsedBy(z.array(writtenSpecSchema).min(1), specs, (problem) => new SteeringError("E_BAD_SPEC",
    `${name}: ${Array.isArray(json) ? problem : problem.replace(/^0\./, "")}; ${EXPECTED_JSON}`));
}

/** Kinds of schedules by the words that `--steer` accepts: their short and long names. */
const KIND_OF_WORD = new Map(FACTS.flatMap(([name, { word }]) => (word === undefined ? [] : [[word, name], [name, name]] as const)));
const SETTINGS = new Map(FACTS.flatMap(([, { settings = {} }]) => Object.entries(settings)));
/** What a number without a name sets, by kind. */
const BARE = new Map(FACTS.map(([name, { bare = "alpha" }]) => [name, bare]));
const TEXT_SETTINGS = new Set(FACTS.flatMap(([, { textSettings = [] }]) => textSettings));
const WORDS = FACTS.flatMap(([, { word }]) => word ?? []).join(", ");
/** Ends every refusal of a shorthand. */
export const SHORTHAND_HELP = "llama-steer generate --help explains the notation";
/** What the shorthand says of a gate besides its probe. */
const OF_GATE: Readonly<Record<string, string>> = { until: "until=", "per of a gate": "per=", gate: "gate=" };
/** A text in quotes, as in JSON. */
const QUOTED = /"(?:[^"\\]|\\.)*"/g;
/** No model has this many layers or heads; a longer range is a typing error. */
const MAX_INDEX = 9999;

/**
 * Parse the shorthand of `--steer`, e.g. `italian.safetensors:dyn,p=0.5`. Throws E_BAD_SPEC.
 *
 * The schedule follows the last colon, so paths may contain colons.
 */
export function parseSteer(text: string): SteeringSpec {
  const parsed = parsedBy(steeringSpecSchema, readSteer(text), (problem) => badSpec(text, problem));
  checkPhases(parsed.phases, parsed.schedule);
  checkConditions(parsed);
  checkOperator(parsed, parsed.schedule);
  return parsed;
}

/** The settings that the shorthand names, without the defaults of the others; validated. Throws E_BAD_SPEC. */
export function givenSettings(text: string): Partial<WrittenSchedule> {
  parseSteer(text);
  return readSteer(text).schedule as Partial<WrittenSchedule>;
}

/** Where the schedule of a shorthand begins, at a colon that no setting has; -1 for other texts. */
export function scheduleStart(text: string): number {
  const unquoted = text.replace(QUOTED, (found) => "_".repeat(found.length));
  for (let colon = unquoted.lastIndexOf(":"); colon > 0; colon = unquoted.lastIndexOf(":", colon - 1)) {
    if (KIND_OF_WORD.has(/^[^,]*/.exec(unquoted.slice(colon + 1))![0].trim())) return colon;
  }
  return -1;
}

/** True for `FILE:SCHEDULE`, rather than the path of a file. */
export function isShorthand(text: string): boolean {
  return scheduleStart(text) >= 0;
}

/** The settings between commas that are not within quotes. */
function partsOf(text: string): string[] {
  const texts: string[] = [];
  const unquoted = text.replace(QUOTED, (found) => `"${texts.push(found) - 1}"`);
  return unquoted.split(",").map((part) => part.trim().replace(/"(\d+)"/, (_, index) => texts[Number(index)]!));
}

function readSteer(text: string): { vector: string; schedule: Record<string, unknown> } & Record<string, unknown> {
  const colon = isShorthand(text) ? scheduleStart(text) : text.lastIndexOf(":");
  if (colon < 0) throw badSpec(text, "neither a file nor a file and its schedule, such as FILE:fixed,1");
  if (colon === 0) throw badSpec(text, "no file name before the schedule");
  const [kindWord = "", ...settings] = partsOf(text.slice(colon + 1));
  const kind = KIND_OF_WORD.get(kindWord);
  if (!kind) throw badSpec(text, `unknown schedule "${kindWord}"; expected one of ${WORDS}`);
  const schedule: Record<string, unknown> = { kind };
  const spec: ReturnType<typeof readSteer> = { vector: text.slice(0, colon), schedule };
  const seen = new Set<string>();
  for (const setting of settings) {
    const equals = setting.indexOf("=");
    const [word, value] = equals < 0 ? [BARE.get(kind)!, setting] : [setting.slice(0, equals), setting.slice(equals + 1)];
    // "fixed,1,5" is probably a decimal comma: the last number must not win silently.
    if (equals < 0 && kind === "dynamic") throw badSpec(text, `dyn measures its alpha; did you mean p=${value}?`);
    const isOfGate = word === "per" && (kind !== "budget" || value === "prompt"); // a budget's is per=token|answer
    const once = isOfGate ? "per of a gate" : word;
    if (seen.has(once)) throw badSpec(text, `${once} is given twice`);
    seen.add(once);
    const key = isOfGate ? undefined : SETTINGS.get(word);
    if (word === "tail") spec["tail"] = value;
    else if (word === "layers" || word === "heads") spec[word] = parseIndices(value);
    else if (word === "on") spec["phases"] = value.split("+");
    else if (word === "op") spec["operator"] = value;
    else if (word === "norm") spec["keepNorm"] = keepsNorm(text, value);
    else if (key) setIn(schedule, key, TEXT_SETTINGS.has(word) ? value : number(text, value));
    else {
      const found = readCondition(spec, word, value);
      if (found === "unknown") throw badSpec(text, `unknown setting "${word}"`);
      if (found === "wrong") throw badSpec(text, `${word} does not understand ${JSON.stringify(value)}`);
    }
  }
  const lonely = Object.keys(OF_GATE).find((word) => seen.has(word));
  if (lonely !== undefined && !seen.has("when")) throw badSpec(text, `${OF_GATE[lonely]} belongs to a gate: add when=PROBE`);
  return spec;
}

/** A schedule as `parseSteer` reads it after the colon, e.g. `dyn,p=0.5,max=2`; undefined if the command line does not offer its kind. */
export function scheduleText(schedule: WrittenSchedule): string | undefined {
  const { word, settings = {}, bare = "alpha" } = new Map(FACTS).get(schedule.kind)!;
  if (word === undefined) return undefined;
  const written = Object.entries(settings).map(([short, key]) => ({ short, value: valueIn(schedule, key) }))
    .filter(({ value }) => value !== undefined).map(({ short, value }) => (short === bare ? `${value}` : `${short}=${value}`));
  return [word, ...written].join(",");
}

/** A specification as `parseSteer` reads it; undefined if the command line does not offer its schedule. */
export function steerText({ vector, schedule, layers, heads, tail, phases, ...others }: SteeringSpec): string | undefined {
  const text = scheduleText(schedule);
  if (text === undefined) return undefined;
  const list = (name: string, indices: readonly number[] | "all"): string[] => (indices === "all" ? [] : [`${name}=${indices.join("+")}`]);
  const { operator, keepNorm } = writtenOperation(others);
  const isUsual = phases.length === 1 && phases[0] === "answer";
  return [
    `${vector}:${text}`, ...list("layers", layers), ...list("heads", heads), ...(tail === "mean" ? [] : [`tail=${tail}`]),
    ...(isUsual ? [] : [`on=${phases.join("+")}`]), ...(operator ? [`op=${operator}`] : []),
    ...(keepNorm ? ["norm=keep"] : []), ...conditionsText(others),
  ].join(",");
}

/** The value of a setting whose name may lead into an object, such as `skip.below`. */
function valueIn(schedule: object, key: string): unknown {
  return key.split(".").reduce<unknown>((inner, part) => (inner as Record<string, unknown> | undefined)?.[part], schedule);
}

function setIn(schedule: Record<string, unknown>, key: string, value: unknown): void {
  const [first = "", second] = key.split(".");
  schedule[first] = second === undefined ? value : { ...schedule[first] as object | undefined, [second]: value };
}

/** Parse `all`, or numbers and ranges joined by "+", e.g. `4-9+12`. Throws E_BAD_SPEC. */
export function parseIndices(text: string): number[] | "all" {
  if (text === "all") return text;
  return text.split("+").flatMap((part) => {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part);
    const [from, to] = [Number(range?.[1]), Number(range?.[2] ?? range?.[1])];
    if (!range || to < from || to > MAX_INDEX) {
      throw new SteeringError("E_BAD_SPEC", `"${part}" in "${text}" is neither an index nor a range such as 4-9`);
    }
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

function number(text: string, value: string): number {
  const parsed = Number(value);
  if (value === "" || !Number.isFinite(parsed)) throw badSpec(text, `"${value}" is not a number`);
  return parsed;
}

function keepsNorm(text: string, value: string): true {
  if (value === "keep") return true;
  throw badSpec(text, `norm=${value}; only norm=keep is known`);
}

function badSpec(text: string, reason: string): SteeringError {
  return new SteeringError("E_BAD_SPEC", `--steer ${text}: ${reason}; ${SHORTHAND_HELP}`);
}
