import { basename } from "node:path";
import { statedSchedule } from "../../lib/gallery/index.js";
import { LiveSteering, loadSteering, SteeringError, type LoadedSteering, type Model, type WrittenSpec } from "../../lib/index.js";
import { knownStrength, withCalibrated, type KnownStrength } from "../../lib/vector/index.js";
import { nearestName } from "../../lib/formats/index.js";
import { spec as specs } from "../../lib/experiments.js";
import { checkConditions, checkOperator, checkPhases, givenSettings, type WrittenSchedule } from "../../lib/steering/index.js";
import { steeringsOf } from "../steer-option.js";
import { scheduleWords, withAlpha } from "./schedule-words.js";

/** A vector that steers the chat, and the name that commands give it. */
export interface Property {
  /** The name of its file, without the ending. */
  name: string;
  steering: LoadedSteering;
  /** The schedule that its gallery states. */
  stated?: WrittenSchedule | undefined;
}

/** Loads vectors as `--steer` names them, or as a chat's file does, and checks that they fit the model. Throws what loading them throws. */
export async function loadProperties(model: Model, spec: string | readonly WrittenSpec[], allowMismatch: boolean): Promise<Property[]> {
  const loaded = typeof spec === "string" ? await steeringsOf(spec, model) : await loadSteering(spec);
  for (const steering of loaded) await new LiveSteering(steering).load(model, allowMismatch);
  return Promise.all(loaded.map(async (steering) => {
    const path = steering.vector.path!;
    return { name: basename(path).replace(/\.safetensors$/, ""), steering, stated: await statedSchedule(path) };
  }));
}

/** What is known of a property's strength. */
export function strengthOf({ steering, stated }: Property): KnownStrength | undefined {
  return knownStrength(steering.vector.provenance, stated);
}

/** The property that a user means by its name, its number from 1, or a part of one name. Throws E_BAD_ARGUMENT. */
export function findProperty(properties: readonly Property[], word: string): Property {
  const named = properties.filter(({ name }) => name === word);
  const numbered = /^\d+$/.test(word) ? properties.slice(Number(word) - 1, Number(word)) : [];
  const begun = properties.filter(({ name }) => name.toLowerCase().startsWith(word.toLowerCase()));
  const within = properties.filter(({ name }) => name.toLowerCase().includes(word.toLowerCase()));
  const found = [named, numbered, begun, within].find((each) => each.length > 0) ?? [];
  if (found.length === 1) return found[0]!;
  if (properties.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "no vector steers this chat; add one with /steer FILE");
  const known = properties.map(({ name }, index) => `${index + 1} ${name}`).join(", ");
  const near = nearestName(word, properties.map(({ name }) => name));
  const problem = found.length > 1 ? `"${word}" fits ${found.length} properties; use a number` : `no property is called "${word}"`;
  throw new SteeringError("E_BAD_ARGUMENT", `${problem} (${known})${found.length === 0 && near ? `; did you mean ${near}?` : ""}`);
}

/** Fields that the shorthand calls otherwise. */
const FIELDS: Readonly<Record<string, string>> = { on: "phases", op: "operator", norm: "keepNorm" };

/**
 * Changes a property's strength: a number is its new alpha, anything else a schedule such as dyn,p=0.3, with what else `--steer` accepts.
 * Throws E_BAD_SPEC.
 */
export function setStrength(property: Property, text: string): void {
  const { name, steering } = property;
  if (/^[-+.\d]/.test(text)) {
    const alpha = Number(text);
    if (Number.isFinite(alpha)) steering.schedule = withAlpha(steering.schedule, alpha);
    else throw new SteeringError("E_BAD_SPEC", `"${text}" is not a number; expected an alpha such as 0.8, or a schedule such as dyn,p=0.3`);
    return;
  }
  const { schedule: written, tail, layers, heads, phases, only, gate, operator, keepNorm } = specs.parse(`${name}:${text}`);
  if (gate) throw new SteeringError("E_BAD_SPEC", `a gate cannot be set here; start the chat with --steer FILE:${text}`);
  // As with --steer FILE:dyn, what is known of the vector gives a better strong alpha and cap than the defaults.
  const schedule = withCalibrated(written, strengthOf(property), givenSettings(`${name}:${text}`));
  const given = Object.entries({ tail, layers, heads, on: phases, op: operator, norm: keepNorm })
    .filter(([word]) => text.includes(`,${word}=`));
  const changed = { schedule, ...(only && { only }), ...Object.fromEntries(given.map(([word, value]) => [FIELDS[word] ?? word, value])) };
  checkPhases({ ...steering, ...changed }.phases, schedule);
  checkConditions({ ...steering, ...changed });
  checkOperator({ ...steering, ...changed }, schedule);
  Object.assign(steering, changed);
}

/** One line per property, e.g. "1 italian  fixed,1.5". */
export function propertyLines(properties: readonly Property[]): string[] {
  const width = Math.max(0, ...properties.map(({ name }) => name.length));
  return properties.map(({ name, steering }, index) => `${index + 1} ${name.padEnd(width)}  ${scheduleWords(steering.schedule)}`);
}
