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

/** Schedules that one number describes: alpha, or p_top. */
export type CalibratedKind = Strategy;

/** What is wanted of the vector, and which intensities are tried. */
export interface CalibrateOptions {
  vector: VectorData;
  /** Questions with the wanted answers, which demonstrate the behaviour for ΔPPL; not those that the vector was extracted from. */
  questions: Dataset;
  /** They judge the answers; an answer has the effect when all of them that want something say so. */
  evaluators: readonly Evaluator[];
  /** Share of answers that must have the effect; default 0.9. */
  wanted?: number;
  /** Default `fixed`. */
  kind?: CalibratedKind;
  /** Alphas, or for `dynamic` values of p_top, to try; default `CALIBRATION_CANDIDATES`. */
  candidates?: readonly number[];
  /** Questions to ask, at most; default 20. */
  n?: number;
  /** Default 4 and 30. */
  iclExamples?: number;
  maxNewTokens?: number;
  signal?: AbortSignal;
  /** Answers so far, of all. */
  onProgress?: (done: number, total: number) => void;
}

/** What a candidate had. */
export interface Candidate {
  schedule: WrittenSchedule;
  /** Share of the answers with the effect. */
  found: number;
  /** Median over the questions that have one; infinite where the model broke down in half of them. */
  deltaPerplexity: number;
}

/** Values that are tried where none are given: alphas, or p_top of Dyn; weak ones first. */
export const CALIBRATION_CANDIDATES: Record<"alpha" | "topP", readonly number[]> = {
  alpha: [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3],
  topP: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
};

/**
 * Find the intensity that has an effect at the least cost in fluency: of the candidates that reach the wanted share of
 * answers, the one with the least median ΔPPL (docs/method.md §6). All of them answer the same questions.
 *
 * @returns what was tried, and the vector with its calibration; without one where no candidate has the effect
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_DATASET, E_MODEL_MISMATCH, E_CONTEXT_FULL, E_ABORTED
 */
export async function calibrate(model: Engine, options: CalibrateOptions): Promise<{ tried: Candidate[]; vector: SteeringVector | undefined }> {
  const { vector, questions, evaluators, wanted = 0.9, kind = "fixed", n = 20, iclExamples = 4, maxNewTokens = 30, signal, onProgress } = options;
  requireNumber("wanted", wanted, { above: 0, max: 1 });
  requireInteger("n", n, { min: 1 });
  requireInteger("maxNewTokens", maxNewTokens, { min: 1 });
  requireInteger("iclExamples", iclExamples, { min: 0 });
  const judges = evaluators.filter((evaluator) => evaluator.wanted !== null);
  if (judges.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "no evaluator wants anything: there is no effect to calibrate to");
  assertMadeFor(vector, await model.fingerprint());
  assertHeldOut(vector, questions);
  const schedules = schedulesOf(kind, options.candidates);
  const settings = schedules.map((schedule, index) => ({ label: String(index), prompt: "no-icl" as const, steer: [{ vector: 0, schedule }] }));
  const prompts = evaluationPrompts(model, { questions, icl: questions }, { iclExamples, evaluationSize: n, evaluateOn: "rows", promptFormat: "clean", maxNewTokens });
  const records: ResultRecord[] = [];
  let done = 0;
  const answer = (index: number, inner: AbortSignal): Promise<ResultRecord[]> => answerPrompt(model, index, prompts[index]!, {
    settings, vectors: [{ vector }], maxNewTokens, signal: inner, onAnswer: () => onProgress?.(++done, prompts.length * settings.length),
  });
  for await (const answers of inOrder([...prompts.keys()], answer, signal)) records.push(...answers);
  const hits = await jointHits(judges, records, signal);
  const tried = schedules.map((schedule, index): Candidate => {
    const own = records.flatMap(({ setting }, at) => (setting === String(index) ? [at] : []));
    // Without an error there is none where nothing was said behind the demonstrations: nothing to compare with.
    const costs = own.map((at) => records[at]!).filter(({ deltaPerplexity, error }) => deltaPerplexity !== null || error !== undefined).map(({ deltaPerplexity }) => deltaPerplexity ?? Infinity);
    return { schedule, found: own.filter((at) => hits[at]).length / own.length, deltaPerplexity: costs.length === 0 ? Infinity : median(costs).value };
  });
  const best = cheapest(tried, wanted);
  if (!best) return { tried, vector: undefined };
  const effect = judges.map(({ name, property, wanted: side }) => `${property ?? name} ${side}`).join(" and ");
  const calibration: Calibration = { ...best, effect, wanted, n: prompts.length, questions: datasetReference(questions) };
  return { tried, vector: new SteeringVector({ ...vector, provenance: { ...vector.provenance, calibration } }) };
}

/** Throws E_BAD_ARGUMENT where the vector was made of the questions: their answers say nothing of others. */
function assertHeldOut({ provenance: { origin } }: VectorData, questions: Dataset): void {
  const { hash } = datasetReference(questions);
  if ("positive" in origin && (hash === origin.positive.hash || hash === origin.negative.hash)) throw new SteeringError("E_BAD_ARGUMENT", `the vector was made of ${questions.name}: other questions are needed to tell its effect`);
}

/** Of those that have the effect often enough, the one of the least cost; of several, the first. */
export function cheapest(tried: readonly Candidate[], wanted: number): Candidate | undefined {
  const enough = tried.filter(({ found, deltaPerplexity }) => found >= wanted && Number.isFinite(deltaPerplexity));
  return enough.reduce<Candidate | undefined>((best, each) => (best && best.deltaPerplexity <= each.deltaPerplexity ? best : each), undefined);
}

function schedulesOf(kind: CalibratedKind, given: readonly number[] | undefined): WrittenSchedule[] {
  const candidates = given ?? CALIBRATION_CANDIDATES[kind === "dynamic" ? "topP" : "alpha"];
  if (candidates.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "there is no candidate to try");
  return [...new Set(candidates)].map((value) => parseSchedule(kind === "dynamic" ? { kind, topP: value } : { kind, alpha: value }));
}

async function jointHits(judges: readonly Evaluator[], records: readonly ResultRecord[], signal: AbortSignal | undefined): Promise<boolean[]> {
  const hits = records.map(() => true);
  for (const judge of judges) {
    const columns = await judge.evaluate(records.map(({ question, text }) => ({ question, text })), signal);
    columns.forEach((column, index) => { hits[index] &&= column["hit"] === true; });
  }
  return hits;
}
