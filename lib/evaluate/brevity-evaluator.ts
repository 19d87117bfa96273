import { requireInteger } from "../checks.js";
import { packageVersion } from "../formats/index.js";
import type { Evaluator } from "./evaluator.js";
import { wordsOf } from "./fluency-evaluator.js";

/**
 * Evaluator of brevity: an answer of 1 to `mostWords` words is a success. Columns: "brief" or "long", `words`, `hit`; an empty text is
 * undetermined. Throws E_BAD_ARGUMENT.
 *
 * @param mostWords from 1
 */
export function brevityEvaluator(mostWords: number): Evaluator {
  requireInteger("mostWords", mostWords, { min: 1 });
  return {
    name: "brevity", wanted: "brief", batchSize: 1000, config: { mostWords }, versions: { llamaSteer: packageVersion() },
    evaluate: async (texts) => texts.map(({ text }) => {
      const words = wordsOf(text).length;
      const hit = words === 0 ? null : words <= mostWords;
      return { "": hit === null ? "und" : hit ? "brief" : "long", words, hit };
    }),
    [Symbol.dispose]: () => {},
  };
}
