import { SteeringError } from "../errors.js";
import { engineVersion, type Classifier } from "../engine/index.js";
import { packageVersion } from "../formats/index.js";
import { judgeEach } from "./judge-each.js";
import type { Evaluator } from "./evaluator.js";

const SURE = 0.8;

/** Options of `formalityEvaluator`. */
export interface FormalityEvaluatorOptions {
  /** The label that counts as a success; none by default. */
  wanted?: "formal" | "informal" | undefined;
  /** Least probability of a label. The default, 0.8, leaves neutral texts (about one half) undetermined; the paper uses 0.5. */
  sure?: number;
}

/**
 * Evaluator of formality. Columns: the label, or "und" if neither label reaches `sure`; `p` (probability of "formal"); `logits` in the
 * order of the file's labels; `hit`. A text that is empty or too long is undetermined. The caller keeps ownership of the classifier.
 *
 * @throws SteeringError E_BAD_GGUF unless the classifier has exactly the labels formal and informal
 */
export async function formalityEvaluator(
  classifier: Classifier,
  { wanted, sure = SURE }: FormalityEvaluatorOptions = {},
): Promise<Evaluator> {
  const { labels, info } = classifier;
  const isThere = (label: string): boolean => labels.some((each) => each.toLowerCase() === label);
  if (labels.length !== 2 || !isThere("formal") || !isThere("informal")) {
    throw new SteeringError("E_BAD_GGUF", `${info.path} has the labels ${labels.join(", ")}; `
      + 'expected "formal" and "informal" (docs/evaluation.md shows how to name them)');
  }
  return {
    name: "formality", wanted: wanted ?? null, batchSize: 256,
    config: { model: { ...await classifier.fingerprint() }, labels: [...labels], sure },
    versions: { llamaSteer: packageVersion(), llamaCpp: engineVersion() },
    evaluate: async (texts, signal) => {
      const classify = (fit: readonly string[]) => classifier.classify(fit, { ...(signal && { signal }) });
      return (await judgeEach(texts.map(({ text }) => text), classify)).map((found) => {
        const label = found && found.probabilities[found.label]! >= sure ? found.label.toLowerCase() : undefined;
        return {
          "": label ?? "und", p: found ? Object.entries(found.probabilities).find(([each]) => each.toLowerCase() === "formal")![1] : null,
          logits: found?.logits ?? [], ...(wanted && { hit: label === undefined ? null : label === wanted }),
        };
      });
    },
    [Symbol.dispose]: () => {},
  };
}
