import { SteeringError } from "../errors.js";
import { datasetNames, datasetsFolder, includedDatasets, loadDataset } from "../dataset/index.js";
import { Embedder, type Engine } from "../engine/index.js";
import { packageVersion } from "../formats/index.js";
import { accuracy, auc, dot, fitLogistic, logit, sigmoid, standardise, unstandardised, type LogisticModel } from "../maths/index.js";
import { embeddedTexts, hiddenStates, type ContentVectors, type ReadAtOnce } from "./content-vectors.js";
import type { EvaluationColumns, Evaluator } from "./evaluator.js";

/** Options of `keptEvaluator`. */
export interface KeptOptions {
  /** The setting whose content the answers should have; default "no-icl", the unsteered question. */
  against?: string | undefined;
  /** Put before each text for an embedding model that wants it, e.g. "clustering: " (nomic-embed-text). */
  prefix?: string | undefined;
  /** The layer of a language model, 0-based; default: the one that best separates our labelled pairs. */
  layer?: number | undefined;
  /** Folder of the datasets with the labelled pairs; default: ours. */
  datasets?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** How well cosines tell answers to the same question from answers to different ones, whatever their language and style. */
export interface ContentGold {
  /** The datasets that the answers are from. */
  datasets: string[];
  /** Pairs of answers: half of them answer the same question in two languages or styles, half two questions. */
  n: number;
  /** Area under the ROC curve: 1 if every pair of the first kind has the larger cosine, 0.5 by chance. */
  auc: number;
  /** Share of the pairs that the fitted probability puts right. */
  accuracy: number;
  /** The language model's layer; undefined for an embedding model. */
  layer?: number;
}

/** Answers to the same questions; the first is compared with all others. Those that exist and share enough questions are used. */
const STYLES = ["ENG", "ITA", "ZHO", "ENi2f", "ENf2i"];
/** Questions for the means of the styles, and questions after them for the pairs. */
const [STYLE_ROWS, PAIR_ROWS] = [12, 12];
const LEAST_QUESTIONS = STYLE_ROWS + PAIR_ROWS;
/** Keeps the fit finite where the pairs are told apart without a mistake. */
const PENALTY = 0.01;

/**
 * Evaluator of whether an answer keeps the content of the unsteered one, named `kept` (docs/method.md §11). Columns: the probability that
 * both answer the same question in the same way, as the cosine of their vectors tells it; `cosine`. An empty answer keeps nothing; null
 * without a reference, and for a text that is too long. The vectors are those of an embedding model, or the hidden states of a
 * language model, which need not be the steered one. The caller keeps ownership of the model.
 *
 * @throws SteeringError E_BAD_DATASET, E_NOT_FOUND (no labelled pairs), E_BAD_ARGUMENT (a layer that cannot be read; an option of the
 *   other kind of model), E_ABORTED
 */
export async function keptEvaluator(
  source: Engine | Embedder, { against = "no-icl", datasets = datasetsFolder(), signal, ...how }: KeptOptions = {},
): Promise<Evaluator & { gold: ContentGold }> {
  const { names, styles, pairs } = await labelledPairs(datasets, signal);
  const others = pairs.flatMap(({ texts }) => texts);
  const { vectors, layer } = source instanceof Embedder ? { vectors: await ofEmbedder(source, how), layer: undefined }
    : await ofLayer(source, { styles, others }, pairs, how.layer, how.prefix, signal);
  const scored = await cosinesOf(vectors, pairs, signal);
  const model = fitted(scored);
  const probability = (cosine: number): number => sigmoid(logit(model, [cosine]));
  const isSame = scored.map((each) => each.isSame);
  const gold: ContentGold = {
    datasets: names, n: scored.length, auc: auc(scored.map(({ cosine }) => cosine), isSame),
    accuracy: accuracy(scored.map(({ cosine }) => probability(cosine)), isSame), ...(layer !== undefined && { layer }),
  };
  return {
    name: "kept", wanted: null, against, batchSize: 128, gold,
    config: { ...vectors.config, against }, versions: { llamaSteer: packageVersion(), ...vectors.versions },
    evaluate: async (texts, own) => {
      const found = await vectors.of(texts.flatMap(({ text, reference = "" }) => [text, reference]), own);
      return texts.map(({ text, reference = "" }, index): EvaluationColumns => {
        if (text.trim() === "" && reference.trim() !== "") return { "": 0, cosine: null };
        const cosine = cosineOf(found[2 * index]!, found[2 * index + 1]!);
        return { "": cosine === null ? null : probability(cosine), cosine };
      });
    },
    [Symbol.dispose]: () => {},
  };
}

interface LabelledPair {
  texts: [string, string];
  isSame: boolean;
}

interface ScoredPair {
  cosine: number;
  isSame: boolean;
}

const stylesIn = (folder: string): string[] => {
  const known = datasetNames(folder);
  return STYLES.filter((name) => known.includes(name));
};

/** The folder, if it has datasets to compare contents by; otherwise that of the included ones, for a model's own language. */
export function contentDatasets(folder: string, model: string): string {
  return stylesIn(folder).length < 2 ? includedDatasets(model) : folder;
}

/** Throws E_NOT_FOUND, E_BAD_DATASET for a folder by whose datasets contents cannot be compared, E_ABORTED. */
export async function assertContentDatasets(folder: string, signal?: AbortSignal): Promise<void> {
  await labelledPairs(folder, signal);
}

/** Pairs of answers in two styles, to the same question and to two. Throws E_NOT_FOUND, E_BAD_DATASET, E_ABORTED. */
async function labelledPairs(
  folder: string, signal: AbortSignal | undefined,
): Promise<{ names: string[]; styles: string[][]; pairs: LabelledPair[] }> {
  const known = stylesIn(folder);
  if (known.length < 2) {
    throw new SteeringError("E_NOT_FOUND", `${folder} has too few datasets to compare contents; expected two of ${STYLES.join(", ")}`);
  }
  const { names, answers } = await answersInCommon(known, folder, signal);
  const [first, ...others] = answers.map((rows) => rows.slice(STYLE_ROWS, STYLE_ROWS + PAIR_ROWS));
  const pairs = others.flatMap((other) => other.flatMap((text, index): LabelledPair[] => [
    { texts: [first![index]!, text], isSame: true },
    { texts: [first![(index + 1) % first!.length]!, text], isSame: false },
  ]));
  return { names, styles: answers.map((rows) => rows.slice(0, STYLE_ROWS)), pairs };
}

/** A dataset's answers by their questions. */
interface Answers {
  name: string;
  byQuestion: ReadonlyMap<string, string>;
}

/** Answers to the same questions, in the same order, and the two or more datasets that have them. Throws E_BAD_DATASET, E_ABORTED. */
async function answersInCommon(
  known: readonly string[], folder: string, signal: AbortSignal | undefined,
): Promise<{ names: string[]; answers: string[][] }> {
  const all = await Promise.all(known.map(async (name): Promise<Answers> =>
    ({ name, byQuestion: new Map((await loadDataset(name, folder, { signal })).rows.map(({ input, output }) => [input, output])) })));
  for (const first of all.keys()) {
    const { used, questions } = sharing(all.slice(first));
    if (used.length < 2) continue;
    return { names: used.map(({ name }) => name), answers: used.map(({ byQuestion }) => questions.map((each) => byQuestion.get(each)!)) };
  }
  throw new SteeringError("E_BAD_DATASET", `no two of ${known.join(", ")} in ${folder} share ${LEAST_QUESTIONS} questions; comparing contents `
    + `needs answers to the same ${LEAST_QUESTIONS} questions in two of them: add rows`);
}

/** The first dataset and those after it that share enough questions with it and with each other, and these questions. */
function sharing([first, ...others]: readonly Answers[]): { used: Answers[]; questions: string[] } {
  const used = [first!];
  let questions = [...first!.byQuestion.keys()];
  for (const other of others) {
    const shared = questions.filter((question) => other.byQuestion.has(question));
    if (shared.length < LEAST_QUESTIONS) continue;
    questions = shared;
    used.push(other);
  }
  return { used, questions };
}

async function ofEmbedder(embedder: Embedder, { layer, prefix }: KeptOptions): Promise<ContentVectors> {
  if (layer === undefined) return embeddedTexts(embedder, prefix);
  throw new SteeringError("E_BAD_ARGUMENT", "an embedding model has one vector per text; layer is for language models: leave it out");
}

/** The vectors of a layer: the given one, or the one that best separates the pairs. */
async function ofLayer(
  model: Engine, texts: ReadAtOnce, pairs: readonly LabelledPair[], given: number | undefined, prefix: string | undefined,
  signal: AbortSignal | undefined,
): Promise<{ vectors: ContentVectors; layer: number }> {
  if (prefix !== undefined) throw new SteeringError("E_BAD_ARGUMENT", "prefix is for embedding models: leave it out");
  const states = await hiddenStates(model, { ...texts, layer: given }, signal);
  if (given !== undefined) return { vectors: states.at(given), layer: given };
  const areas: Array<{ layer: number; area: number }> = [];
  for (const layer of states.layers) {
    const scored = await cosinesOf(states.at(layer), pairs, signal);
    areas.push({ layer, area: auc(scored.map(({ cosine }) => cosine), scored.map(({ isSame }) => isSame)) });
  }
  const { layer } = areas.reduce((best, each) => (each.area > best.area ? each : best));
  return { vectors: states.at(layer), layer };
}

async function cosinesOf(
  vectors: ContentVectors, pairs: readonly LabelledPair[], signal: AbortSignal | undefined,
): Promise<ScoredPair[]> {
  const found = await vectors.of(pairs.flatMap(({ texts }) => texts), signal);
  return pairs.flatMap(({ isSame }, index) => {
    const cosine = cosineOf(found[2 * index]!, found[2 * index + 1]!);
    return cosine === null ? [] : [{ cosine, isSame }];
  });
}

/** Null unless both texts have vectors. */
function cosineOf(a: Float64Array | null, b: Float64Array | null): number | null {
  return a && b ? dot(a, b) : null;
}

/** The probability of the same content as a function of the cosine. */
function fitted(scored: readonly ScoredPair[]): LogisticModel {
  const design = standardise(scored.map(({ cosine }) => [cosine]));
  return unstandardised(design, fitLogistic(design, scored.map(({ isSame }) => isSame), { lambda: PENALTY }));
}
