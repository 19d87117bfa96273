import { z } from "zod";
import { SteeringError } from "../errors.js";
import { scheduleSchema, tailSchema, type Schedule } from "./schedule.js";

/** The steering specification of library, command line and files: which vector, how strongly, and what after its end. */
export const steeringSpecSchema = z.strictObject({
  /** Path of a vector file. */
  vector: z.string().min(1),
  schedule: scheduleSchema,
  tail: tailSchema,
});
export type SteeringSpec = z.infer<typeof steeringSpecSchema>;

const KINDS = new Map<string, Schedule["kind"]>(Object.entries({
  fixed: "fixed", start: "start", dim: "diminishing", diminishing: "diminishing", dyn: "dynamic", dynamic: "dynamic",
} as const));
const SETTINGS = new Map(Object.entries({ p: "topP", max: "alphaMax", strong: "strongAlpha", kl: "klReduction", alpha: "alpha" }));
const EXPECTED = "expected FILE:fixed,1.5 · FILE:start,2 · FILE:dim,2 · FILE:dyn,p=0.5[,max=2][,strong=2][,kl=mean|sum], each with an optional ,tail=mean|hold|stop";

/**
 * Read the shorthand of `--steer`, e.g. `italian.safetensors:dyn,p=0.5`. Throws E_BAD_SPEC.
 *
 * The schedule follows the last colon, so that a path may contain colons.
 */
export function parseSteer(text: string): SteeringSpec {
  const colon = text.lastIndexOf(":");
  if (colon < 0) throw badSpec(text, "no schedule after the file name");
  if (colon === 0) throw badSpec(text, "no file name before the schedule");
  const [kindWord = "", ...settings] = text.slice(colon + 1).split(",").map((part) => part.trim());
  const kind = KINDS.get(kindWord);
  if (!kind) throw badSpec(text, `unknown schedule "${kindWord}"`);
  const schedule: Record<string, unknown> = { kind };
  const spec: Record<string, unknown> = { vector: text.slice(0, colon), schedule };
  const seen = new Set<string>();
  for (const setting of settings) {
    const equals = setting.indexOf("=");
    const [word, value] = equals < 0 ? ["alpha", setting] : [setting.slice(0, equals), setting.slice(equals + 1)];
    // "fixed,1,5" is a decimal comma: the last number must not win in silence.
    if (equals < 0 && kind === "dynamic") throw badSpec(text, `dyn measures its alpha; did you mean p=${value}?`);
    if (seen.has(word)) throw badSpec(text, `${word} is given twice`);
    seen.add(word);
    const key = SETTINGS.get(word);
    if (word === "tail") spec["tail"] = value;
    else if (key) schedule[key] = word === "kl" ? value : number(text, value);
    else throw badSpec(text, `unknown setting "${word}"`);
  }
  const parsed = steeringSpecSchema.safeParse(spec);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw badSpec(text, `${issue.path.join(".")}: ${issue.message}`);
}

function number(text: string, value: string): number {
  const parsed = Number(value);
  if (value === "" || !Number.isFinite(parsed)) throw badSpec(text, `"${value}" is not a number`);
  return parsed;
}

function badSpec(text: string, reason: string): SteeringError {
  return new SteeringError("E_BAD_SPEC", `--steer ${text}: ${reason}; ${EXPECTED}`);
}
