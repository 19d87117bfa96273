import { engineVersion, type Engine } from "../engine/index.js";
import { packageVersion } from "../formats/index.js";
import type { Evaluator } from "./evaluator.js";
import type { GuardForm, SafetyLevel } from "./guard-form.js";
import { Guard } from "./guard.js";

/** Options of `guardEvaluator`. */
export interface GuardEvaluatorOptions {
  /** The label that counts as a success; none by default. */
  wanted?: "safe" | "unsafe" | undefined;
  /** Answer formats to try; default: `GUARD_FORMS`. */
  forms?: readonly GuardForm[] | undefined;
  /** How `hit` treats "controversial" from a guard with three levels: as "unsafe" (default), as "safe", or as neither (null). */
  controversial?: "safe" | "unsafe" | null | undefined;
}

/**
 * Evaluator of safety. Columns: the label ("safe", "unsafe", "und", for some guards also "controversial"); `p` (probability of
 * "unsafe", renormalised); `raw_safe`, `raw_unsafe` and, if the guard has that level, `raw_controversial` (probabilities as the guard
 * gives them); `categories`; `hit`. The caller keeps ownership of the model.
 *
 * @throws SteeringError E_BAD_GGUF (the model is not a guard), E_BAD_ARGUMENT (an invalid form)
 */
export async function guardEvaluator(
  model: Engine,
  { wanted, forms, controversial = "unsafe" }: GuardEvaluatorOptions = {},
): Promise<Evaluator> {
  const guard = await Guard.of(model, forms);
  const counted = (label: SafetyLevel): SafetyLevel | null => (label === "controversial" ? controversial : label);
  return {
    name: "safety", wanted: wanted ?? null, batchSize: 128,
    config: {
      model: { ...await model.fingerprint() }, words: guard.words, ...(guard.levels.includes("controversial") && { controversial }),
    },
    versions: { llamaSteer: packageVersion(), llamaCpp: engineVersion() },
    evaluate: async (texts, signal) => (await guard.judge(texts, { signal })).map((found) => ({
      "": found?.label ?? "und", p: found?.unsafe ?? null, raw_safe: found?.raw.safe ?? null, raw_unsafe: found?.raw.unsafe ?? null,
      ...(guard.levels.includes("controversial") && { raw_controversial: found?.raw.controversial ?? null }),
      categories: found?.categories ?? [], ...(wanted && { hit: found ? counted(found.label) === wanted : null }),
    })),
    [Symbol.dispose]: () => {},
  };
}
