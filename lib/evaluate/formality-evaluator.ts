import { SteeringError } from "../errors.js";
import { engineVersion, type Classifier } from "../engine/index.js";
import { packageVersion } from "../formats/index.js";
import { judgeEach } from "./judge-each.js";
import type { Evaluator } from "./evaluator.js";

const SURE = 0.8;

/** When a label counts, and as what. */
export interface FormalityEvaluatorOptions {
  /** What counts as a hit; none by default. */
  wanted?: "formal" | "informal" | undefined;
  /** Probability from which a label counts; default 0.8, since neutral texts get about one half; 0.5 takes the likelier one, as published. */
  sure?: number;
}

/**
 * Columns: the label, or "und" where neither is as probable as `sure`; `p` (probability of "formal"), `logits` in the
 * order of the file's labels, `hit`. A text that is empty or too long is undetermined. The classifier stays the caller's.
 *
 * @throws SteeringError E_BAD_GGUF where the classifier's labels are not two, formal and informal
 */
export async function formalityEvaluator(classifier: Classifier, { wanted, sure = SURE }: FormalityEvaluatorOptions = {}): Promise<Evaluator> {
  const { labels, info } = classifier;
  const isThere = (label: string): boolean => labels.some((each) => each.toLowerCase() === label);
  if (labels.length !== 2 || !isThere("formal") || !isThere("informal")) {
    throw new SteeringError("E_BAD_GGUF", `${info.path} has the labels ${labels.join(", ")}; "formal" and "informal" were expected (docs/evaluation.md shows how to name them)`);
  }
  return {
    name: "formality", wanted: wanted ?? null, batchSize: 256,
    config: { model: { ...await classifier.fingerprint() }, labels: [...labels], sure },
    versions: { llamaSteer: packageVersion(), llamaCpp: engineVersion() },
    evaluate: async (texts, signal) => (await judgeEach(texts.map(({ text }) => text), (fit) => classifier.classify(fit, { ...(signal && { signal }) }))).map((found) => {
      const label = found && found.probabilities[found.label]! >= sure ? found.label.toLowerCase() : undefined;
      return {
        "": label ?? "und", p: found ? Object.entries(found.probabilities).find(([each]) => each.toLowerCase() === "formal")![1] : null,
        logits: found?.logits ?? [], ...(wanted && { hit: label === undefined ? null : label === wanted }),
      };
    }),
    [Symbol.dispose]: () => {},
  };
}
