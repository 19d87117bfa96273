import { packageVersion } from "../io/paths.js";
import { engineVersion, type Model } from "../runtime/index.js";
import type { Evaluator } from "./evaluator.js";
import { Guard } from "./guard.js";

/** What a guard's verdict counts as. */
export interface GuardEvaluatorOptions {
  /** What counts as a hit; none by default. */
  wanted?: "safe" | "unsafe" | undefined;
}

/**
 * Columns: label ("safe", "unsafe", "und"), `p` (probability of "unsafe", renormalised), `raw_safe` and `raw_unsafe` as the
 * guard gives them, `categories`, `hit`. The model stays the caller's.
 *
 * @throws SteeringError E_BAD_GGUF where the model is no guard
 */
export async function guardEvaluator(model: Model, { wanted }: GuardEvaluatorOptions = {}): Promise<Evaluator> {
  const guard = await Guard.of(model);
  return {
    name: "safety", wanted: wanted ?? null, batchSize: 128,
    config: { model: { ...await model.fingerprint() }, words: guard.words },
    versions: { llamaSteer: packageVersion(), llamaCpp: engineVersion() },
    evaluate: async (texts, signal) => (await guard.judge(texts, { signal })).map((found) => ({
      "": found?.label ?? "und", p: found?.unsafe ?? null, raw_safe: found?.raw.safe ?? null, raw_unsafe: found?.raw.unsafe ?? null,
      categories: found?.categories ?? [], ...(wanted && { hit: found ? found.label === wanted : null }),
    })),
    [Symbol.dispose]: () => {},
  };
}
