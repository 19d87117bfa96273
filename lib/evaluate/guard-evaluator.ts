import { engineVersion, type Engine } from "../engine/index.js";
import { packageVersion } from "../formats/index.js";
import type { Evaluator } from "./evaluator.js";
import type { GuardForm, SafetyLevel } from "./guard-form.js";
import { Guard } from "./guard.js";

/** What a guard's verdict counts as. */
export interface GuardEvaluatorOptions {
  /** What counts as a hit; none by default. */
  wanted?: "safe" | "unsafe" | undefined;
  /** The forms in which the guard may answer; default: the known ones. */
  forms?: readonly GuardForm[] | undefined;
  /** What "controversial" counts as in `hit`, for a guard that has three levels: "unsafe" (default), "safe", or neither (null). */
  controversial?: "safe" | "unsafe" | null | undefined;
}

/**
 * Columns: label ("safe", "unsafe", of some guards "controversial", "und"), `p` (probability of "unsafe", renormalised),
 * `raw_safe`, `raw_unsafe` and, where it has that level, `raw_controversial` as the guard gives them, `categories`, `hit`.
 * The model stays the caller's.
 *
 * @throws SteeringError E_BAD_GGUF where the model is not a guard, E_BAD_ARGUMENT (a form that is none)
 */
export async function guardEvaluator(model: Engine, { wanted, forms, controversial = "unsafe" }: GuardEvaluatorOptions = {}): Promise<Evaluator> {
  const guard = await Guard.of(model, forms);
  const counted = (label: SafetyLevel): SafetyLevel | null => (label === "controversial" ? controversial : label);
  return {
    name: "safety", wanted: wanted ?? null, batchSize: 128,
    config: { model: { ...await model.fingerprint() }, words: guard.words, ...(guard.levels.includes("controversial") && { controversial }) },
    versions: { llamaSteer: packageVersion(), llamaCpp: engineVersion() },
    evaluate: async (texts, signal) => (await guard.judge(texts, { signal })).map((found) => ({
      "": found?.label ?? "und", p: found?.unsafe ?? null, raw_safe: found?.raw.safe ?? null, raw_unsafe: found?.raw.unsafe ?? null,
      ...(guard.levels.includes("controversial") && { raw_controversial: found?.raw.controversial ?? null }),
      categories: found?.categories ?? [], ...(wanted && { hit: found ? counted(found.label) === wanted : null }),
    })),
    [Symbol.dispose]: () => {},
  };
}
