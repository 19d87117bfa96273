import { SteeringError } from "../errors.js";
import { packageVersion } from "../io/paths.js";
import { engineVersion, type Classification, type Classifier } from "../runtime/index.js";
import type { Evaluator } from "./evaluator.js";

const SURE = 0.8;

/**
 * Columns: the label, or "und" where neither is as probable as `sure`; `p` (probability of "formal"), `logits` in the
 * order of the file's labels, `hit`. A text that is empty or too long is undetermined. The classifier stays the caller's.
 *
 * @param sure probability from which a label counts; default 0.8, since neutral texts get about one half; 0.5 takes the likelier
 *   one, as published
 * @param wanted what counts as a hit; none by default
 * @throws SteeringError E_BAD_GGUF where the classifier's labels are not two, formal and informal
 */
export async function formalityEvaluator(classifier: Classifier, { wanted, sure = SURE }: { wanted?: "formal" | "informal" | undefined; sure?: number } = {}): Promise<Evaluator> {
  const { labels, info } = classifier;
  const isThere = (label: string): boolean => labels.some((each) => each.toLowerCase() === label);
  if (labels.length !== 2 || !isThere("formal") || !isThere("informal")) {
    throw new SteeringError("E_BAD_GGUF", `${info.path} has the labels ${labels.join(", ")}; "formal" and "informal" were expected (docs/evaluation.md shows how to name them)`);
  }
  return {
    name: "formality", wanted: wanted ?? null, batchSize: 256,
    config: { model: { ...await classifier.fingerprint() }, labels: [...labels], sure },
    versions: { llamaSteer: packageVersion(), llamaCpp: engineVersion() },
    evaluate: async (texts, signal) => (await classifyEach(classifier, texts.map(({ text }) => text), signal)).map((found) => {
      const label = found && found.probabilities[found.label]! >= sure ? found.label.toLowerCase() : undefined;
      return {
        "": label ?? "und", p: found ? Object.entries(found.probabilities).find(([each]) => each.toLowerCase() === "formal")![1] : null,
        logits: found?.logits ?? [], ...(wanted && { hit: label === undefined ? null : label === wanted }),
      };
    }),
    [Symbol.dispose]: () => {},
  };
}

/** One classification per text; null for one that the classifier cannot take. */
async function classifyEach(classifier: Classifier, texts: readonly string[], signal: AbortSignal | undefined): Promise<Array<Classification | null>> {
  const options = { ...(signal && { signal }) };
  const fit = texts.filter((text) => text.trim() !== "");
  const found = await classifier.classify(fit, options).catch(async (error: unknown) => {
    if (!isOfText(error)) throw error;
    // One of them is too long: then each by itself.
    const each: Array<Classification | null> = [];
    for (const text of fit) {
      each.push(await classifier.classify([text], options).then(([only]) => only!, (own: unknown) => {
        if (!isOfText(own)) throw own;
        return null;
      }));
    }
    return each;
  });
  let next = 0;
  return texts.map((text) => (text.trim() === "" ? null : found[next++]!));
}

function isOfText(error: unknown): boolean {
  return error instanceof SteeringError && (error.code === "E_CONTEXT_FULL" || error.code === "E_BAD_ARGUMENT");
}
