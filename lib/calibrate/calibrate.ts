import { requireInteger, requireNumber } from "../checks.js";
import { SteeringError } from "../errors.js";
import { inOrder } from "../capture/index.js";
import { datasetReference, type Dataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { type Evaluator, answerPrompt } from "../evaluate/index.js";
import { median } from "../maths/index.js";
import { evaluationPrompts } from "../prompt/index.js";
import type { ResultRecord } from "../results/index.js";
import { parseSchedule, type Strategy, type WrittenSchedule } from "../steering/index.js";
import { assertMadeFor, type Calibration, type VectorData, SteeringVector } from "../vector/index.js";

/** Schedules with a single parameter: alpha or p_top. */
export type CalibratedKind = Strategy;

/** Options of `calibrate`. */
export interface CalibrateOptions {
  vector: VectorData;
  /** Questions with the wanted answers, which also serve as demonstrations for ΔPPL. Must differ from the vector's own datasets. */
  questions: Dataset;
  /** Judges of the answers. An answer has the effect if every evaluator with a wanted value counts it as a success. */
  evaluators: readonly Evaluator[];
  /** Share of answers that must have the effect; default 0.9. */
  wanted?: number;
  /** Kind of schedule; default `fixed`. */
  kind?: CalibratedKind;
  /** Alphas to try (for `dynamic`, values of p_top); default `CALIBRATION_CANDIDATES`. */
  candidates?: readonly number[];
  /** Largest number of questions; default 20. */
  n?: number;
  /** Demonstrations per prompt; default 4. */
  iclExamples?: number;
  /** Default 30. */
  maxNewTokens?: number;
  signal?: AbortSignal;
  /** Reports the answers so far and the total. */
  onProgress?: (done: number, total: number) => void;
}

/** Results of one candidate. */
export interface Candidate {
  schedule: WrittenSchedule;
  /** Share of the answers with the effect. */
  found: number;
  /** Median over the questions that have a ΔPPL; infinite if the model broke down on half of them. */
  deltaPerplexity: number;
}

/** Default candidates, weakest first: alphas, or p_top of Dyn. */
export const CALIBRATION_CANDIDATES: Record<"alpha" | "topP", readonly number[]> = {
  alpha: [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3],
  topP: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
};

/**
 * Find the intensity that has the effect at the least cost in fluency: the candidate with the lowest median ΔPPL (docs/method.md §6)
 * among those that reach the wanted share of answers. All candidates answer the same questions.
 *
 * @returns the candidates' results, and a copy of the vector with its calibration; undefined if no candidate has the effect
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_DATASET, E_MODEL_MISMATCH, E_CONTEXT_FULL, E_ABORTED
 */
export async function calibrate(
  model: Engine,
  options: CalibrateOptions,
): Promise<{ tried: Candidate[]; vector: SteeringVector | undefined }> {
  const { vector, questions, evaluators, wanted = 0.9, kind = "fixed", n = 20, signal, onProgress } = options;
  const { iclExamples = 4, maxNewTokens = 30 } = options;
  requireNumber("wanted", wanted, { above: 0, max: 1 });
  requireInteger("n", n, { min: 1 });
  requireInteger("maxNewTokens", maxNewTokens, { min: 1 });
  requireInteger("iclExamples", iclExamples, { min: 0 });
  const judges = evaluators.filter((evaluator) => evaluator.wanted !== null);
  if (judges.length === 0) {
    throw new SteeringError("E_BAD_ARGUMENT", "nothing to calibrate: expected at least one evaluator with a wanted value");
  }
  assertMadeFor(vector, await model.fingerprint());
  assertHeldOut(vector, questions);
  const schedules = schedulesOf(kind, options.candidates);
  const settings = schedules.map((schedule, index) =>
    ({ label: String(index), prompt: "no-icl" as const, steer: [{ vector: 0, schedule }] }));
  const prompts = evaluationPrompts(model, { questions, icl: questions }, {
    iclExamples, evaluationSize: n, evaluateOn: "rows", promptFormat: "clean", maxNewTokens,
  });
  const records: ResultRecord[] = [];
  let done = 0;
  const answer = (index: number, inner: AbortSignal): Promise<ResultRecord[]> => answerPrompt(model, index, prompts[index]!, {
    settings, vectors: [{ vector }], maxNewTokens, signal: inner, onAnswer: () => onProgress?.(++done, prompts.length * settings.length),
  });
  for await (const answers of inOrder([...prompts.keys()], answer, signal)) records.push(...answers);
  const hits = await jointHits(judges, records, signal);
  const tried = schedules.map((schedule, index): Candidate => {
    const own = records.flatMap(({ setting }, at) => (setting === String(index) ? [at] : []));
    // No ΔPPL and no error: the answer after the demonstrations was empty, so there is nothing to compare with.
    const costs = own.map((at) => records[at]!)
      .filter(({ deltaPerplexity, error }) => deltaPerplexity !== null || error !== undefined)
      .map(({ deltaPerplexity }) => deltaPerplexity ?? Infinity);
    const found = own.filter((at) => hits[at]).length / own.length;
    return { schedule, found, deltaPerplexity: costs.length === 0 ? Infinity : median(costs).value };
  });
  const best = cheapest(tried, wanted);
  if (!best) return { tried, vector: undefined };
  const effect = judges.map(({ name, property, wanted: side }) => `${property ?? name} ${side}`).join(" and ");
  const calibration: Calibration = { ...best, effect, wanted, n: prompts.length, questions: datasetReference(questions) };
  return { tried, vector: new SteeringVector({ ...vector, provenance: { ...vector.provenance, calibration } }) };
}

/** Throws E_BAD_ARGUMENT if the vector was extracted from the questions: calibration needs held-out questions. */
function assertHeldOut({ provenance: { origin } }: VectorData, questions: Dataset): void {
  const { hash } = datasetReference(questions);
  if ("positive" in origin && (hash === origin.positive.hash || hash === origin.negative.hash)) {
    throw new SteeringError("E_BAD_ARGUMENT", `the vector was extracted from ${questions.name}; calibrate it with other questions`);
  }
}

/** The candidate with the lowest ΔPPL among those that have the effect often enough; the first if several are equal. */
export function cheapest(tried: readonly Candidate[], wanted: number): Candidate | undefined {
  const enough = tried.filter(({ found, deltaPerplexity }) => found >= wanted && Number.isFinite(deltaPerplexity));
  return enough.reduce<Candidate | undefined>(
    (best, each) => (best && best.deltaPerplexity <= each.deltaPerplexity ? best : each), undefined);
}

function schedulesOf(kind: CalibratedKind, given: readonly number[] | undefined): WrittenSchedule[] {
  const candidates = given ?? CALIBRATION_CANDIDATES[kind === "dynamic" ? "topP" : "alpha"];
  if (candidates.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "candidates is empty; expected at least one value");
  return [...new Set(candidates)].map((value) => parseSchedule(kind === "dynamic" ? { kind, topP: value } : { kind, alpha: value }));
}

async function jointHits(
  judges: readonly Evaluator[],
  records: readonly ResultRecord[],
  signal: AbortSignal | undefined,
): Promise<boolean[]> {
  const hits = records.map(() => true);
  for (const judge of judges) {
    const columns = await judge.evaluate(records.map(({ question, text }) => ({ question, text })), signal);
    columns.forEach((column, index) => { hits[index] &&= column["hit"] === true; });
  }
  return hits;
}
