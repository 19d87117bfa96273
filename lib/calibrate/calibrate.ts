import { requireInteger, requireNumber } from "../checks.js";
import { SteeringError } from "../errors.js";
import { inOrder } from "../capture/index.js";
import { datasetReference, type Dataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { type Evaluator, answerPrompt } from "../evaluate/index.js";
import { perplexity } from "../generate/index.js";
import { quantile } from "../maths/index.js";
import type { EvaluationPrompt, FormatOptions } from "../prompt/index.js";
import { judgedText, type ResultRecord } from "../results/index.js";
import type { Strategy, WrittenSchedule } from "../steering/index.js";
import { assertMadeFor, fixedAlphaOf, type EffectCalibration, type VectorData, SteeringVector } from "../vector/index.js";
import { curvePoint } from "./by-kl.js";
import { cheapest, coarseValues, finerValues, KL_RANGE, scheduleOf, valueOf } from "./candidates.js";
import { formatFor, measureKl, type KlPoint } from "./measure-kl.js";
import { calibrationPrompts, type CostMeasure } from "./prompts.js";
import { KL_BUDGET, searchBudget } from "./search.js";

/** Schedules with a single parameter: alpha or p_top. */
export type CalibratedKind = Strategy;

/** Options of `calibrate`. */
export interface CalibrateOptions extends FormatOptions {
  vector: VectorData;
  /** Questions with the wanted answers, which also serve as demonstrations for ΔPPL. Must differ from the vector's own datasets. */
  questions: Dataset;
  /** Judges of the answers. An answer has the effect if every evaluator with a wanted value counts it as a success. */
  evaluators: readonly Evaluator[];
  /** Share of answers that must have the effect; default 0.9. */
  wanted?: number;
  /** Kind of schedule; default `fixed`. */
  kind?: CalibratedKind;
  /** Alphas to try (for `dynamic`, values of p_top); default: searched, from where the KL is 0.05 nats to where it is 3. */
  candidates?: readonly number[];
  /**
   * Cost in fluency: ΔPPL of answers to `demonstrations`, or the answers' own `perplexity` under the unsteered model. Default:
   * demonstrations, except in the format `raw` and for vectors that were not made from datasets of answers.
   */
  cost?: CostMeasure;
  /** Largest number of questions; default 20. */
  n?: number;
  /** Demonstrations per prompt; default 4. */
  iclExamples?: number;
  /** Default 30. */
  maxNewTokens?: number;
  signal?: AbortSignal;
  /** Reports the answers so far and the total, which grows while a search goes on. */
  onProgress?: (done: number, total: number) => void;
}

/** Results of one candidate. */
export interface Candidate {
  schedule: WrittenSchedule;
  /** Share of the answers with the effect. */
  found: number;
  /** Median cost over the questions that have one (ΔPPL, or as `cost` says); infinite if the model broke down on half of them. */
  deltaPerplexity: number;
  /** KL in nats per token (`measureKl`); only in a search of fixed alphas. */
  kl?: KlPoint;
}

/** Questions and tokens with which a search measures the KL. */
const KL_QUESTIONS = 4;
const KL_TOKENS = 12;

/**
 * Find the strength that has the effect at the least cost in fluency: the candidate with the lowest median cost (docs/method.md §8)
 * among those that reach the wanted share of answers. All candidates answer the same questions, in the vector's own format by default.
 * Without `candidates`, the search begins where the vector hardly moves the model and ends where it breaks it down.
 *
 * @returns the candidates' results, ascending, and a copy of the vector with its calibration; undefined if no candidate has the effect
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_DATASET, E_BAD_GGUF (no chat template), E_MODEL_MISMATCH, E_CONTEXT_FULL, E_ABORTED
 */
export async function calibrate(
  model: Engine,
  options: CalibrateOptions,
): Promise<{ tried: Candidate[]; vector: SteeringVector | undefined }> {
  const { vector, questions, evaluators, wanted = 0.9, kind = "fixed", n = 20, signal, onProgress } = options;
  const { iclExamples = 4, maxNewTokens = 30, candidates } = options;
  requireNumber("wanted", wanted, { above: 0, max: 1 });
  requireInteger("n", n, { min: 1 });
  requireInteger("maxNewTokens", maxNewTokens, { min: 1 });
  requireInteger("iclExamples", iclExamples, { min: 0 });
  const judges = evaluators.filter((evaluator) => evaluator.wanted !== null);
  if (judges.length === 0) {
    throw new SteeringError("E_BAD_ARGUMENT", "nothing to calibrate: expected at least one evaluator with a wanted value");
  }
  if (candidates?.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "candidates is empty; expected at least one value");
  assertMadeFor(vector, await model.fingerprint());
  assertHeldOut(vector, questions);
  const format = formatFor(vector, options);
  const cost = options.cost ?? usualCost(vector, format);
  const prompts = await calibrationPrompts(model, questions, { ...format, cost, n, iclExamples, maxNewTokens });
  const fixedAlpha = fixedAlphaOf(vector.provenance.calibration);
  const tried: Candidate[] = [];
  let [done, total] = [0, 0];
  const tryAll = async (values: readonly number[], alpha = fixedAlpha): Promise<void> => {
    const fresh = [...new Set(values)].filter((value) => !tried.some(({ schedule }) => valueOf(schedule) === value));
    total += prompts.length * fresh.length;
    const schedules = fresh.map((value) => scheduleOf(kind, value, alpha));
    tried.push(...await answered(model, schedules, {
      vector, prompts, judges, cost, maxNewTokens, signal, onAnswer: () => onProgress?.(++done, total),
    }));
  };
  if (candidates) await tryAll(candidates);
  else {
    const asked = questions.rows.slice(0, KL_QUESTIONS).map(({ input }) => input);
    const measure = (alphas: readonly number[]): Promise<KlPoint[]> =>
      measureKl(model, vector, { alphas, questions: asked, maxNewTokens: KL_TOKENS, ...format, signal });
    const { range, alpha } = await klRange(measure, kind);
    await tryAll(coarseValues(kind, range), alpha);
    await tryAll(finerValues(kind, tried, wanted), alpha);
    tried.sort((a, b) => valueOf(a.schedule) - valueOf(b.schedule));
    if (kind === "fixed") {
      const points = await measure(tried.map(({ schedule }) => valueOf(schedule)));
      tried.forEach((candidate, index) => { candidate.kl = points[index]!; });
    }
  }
  const best = cheapest(tried, wanted);
  if (!best) return { tried, vector: undefined };
  const effect = judges.map(({ name, property, wanted: side }) => `${property ?? name} ${side}`).join(" and ");
  const { schedule, found, deltaPerplexity } = best;
  const calibration: EffectCalibration = {
    by: "effect", schedule, found, deltaPerplexity, ...(cost === "perplexity" && { costBy: cost }),
    effect, wanted, n: prompts.length, questions: datasetReference(questions), curve: tried.map(storedPoint),
  };
  return { tried, vector: new SteeringVector({ ...vector, provenance: { ...vector.provenance, calibration } }) };
}

/** Throws E_BAD_ARGUMENT if the vector was extracted from the questions: calibration needs held-out questions. */
function assertHeldOut({ provenance: { origin } }: VectorData, questions: Dataset): void {
  const { hash } = datasetReference(questions);
  if ("positive" in origin && (hash === origin.positive.hash || hash === origin.negative.hash)) {
    throw new SteeringError("E_BAD_ARGUMENT", `the vector was extracted from ${questions.name}; calibrate it with other questions`);
  }
}

/** Origins whose questions come with the wanted answers, so that these can be demonstrations. */
const WITH_ANSWERS: readonly string[] = ["icl", "pairs", "derived", "imported"];

function usualCost({ provenance: { origin } }: VectorData, { format }: FormatOptions): CostMeasure {
  return format !== "raw" && WITH_ANSWERS.includes(origin.kind) ? "demonstrations" : "perplexity";
}

/** The alphas of `KL_RANGE`, which Dyn does not need, and that of the KL budget. Throws E_BAD_ARGUMENT if the vector does nothing. */
async function klRange(
  measure: (alphas: readonly number[]) => Promise<KlPoint[]>, kind: CalibratedKind,
): Promise<{ range: [number, number] | undefined; alpha: number | undefined }> {
  const known = new Map<number, KlPoint>();
  const remembering = async (alphas: readonly number[]): Promise<KlPoint[]> => {
    const fresh = alphas.filter((alpha) => !known.has(alpha));
    if (fresh.length > 0) for (const point of await measure(fresh)) known.set(point.alpha, point);
    return alphas.map((alpha) => known.get(alpha)!);
  };
  const at = async (budget: number): Promise<number> => {
    const { alpha } = await searchBudget(remembering, budget);
    if (alpha !== undefined) return alpha;
    throw new SteeringError("E_BAD_ARGUMENT", `at no alpha does the vector change the next token's distribution by ${budget} nats on `
      + "average; it has no effect on this model. Give candidates to try anyway, or extract another vector");
  };
  if (kind === "dynamic") return { range: undefined, alpha: await at(KL_BUDGET) };
  return { range: [await at(KL_RANGE[0]), await at(KL_RANGE[1])], alpha: undefined };
}

interface Answering {
  vector: VectorData;
  prompts: readonly EvaluationPrompt[];
  judges: readonly Evaluator[];
  cost: CostMeasure;
  maxNewTokens: number;
  signal: AbortSignal | undefined;
  onAnswer: () => void;
}

/** Lets all schedules answer all prompts, and judges the answers. */
async function answered(model: Engine, schedules: readonly WrittenSchedule[], options: Answering): Promise<Candidate[]> {
  const { vector, prompts, judges, cost, maxNewTokens, signal, onAnswer } = options;
  const settings = schedules.map((schedule, index) =>
    ({ label: String(index), prompt: "no-icl" as const, steer: [{ vector: 0, schedule }] }));
  const records: ResultRecord[] = [];
  const answer = async (index: number, inner: AbortSignal): Promise<ResultRecord[]> => {
    const own = await answerPrompt(model, index, prompts[index]!, {
      settings, vectors: [{ vector }], maxNewTokens, signal: inner, onAnswer,
    });
    if (cost === "demonstrations") return own;
    return Promise.all(own.map(async (record) =>
      ({ ...record, deltaPerplexity: await ownPerplexity(model, prompts[index]!.noIcl, record, inner) })));
  };
  for await (const answers of inOrder([...prompts.keys()], answer, signal)) records.push(...answers);
  const hits = await jointHits(judges, records, signal);
  return schedules.map((schedule, index): Candidate => {
    const own = records.flatMap(({ setting }, at) => (setting === String(index) ? [at] : []));
    // No cost and no error: the answer was empty, so there is nothing to compare with.
    const costs = own.map((at) => records[at]!)
      .filter(({ deltaPerplexity, error }) => deltaPerplexity !== null || error !== undefined)
      .map(({ deltaPerplexity }) => deltaPerplexity ?? Infinity);
    const found = own.filter((at) => hits[at]).length / own.length;
    return { schedule, found, deltaPerplexity: costs.length === 0 ? Infinity : quantile(costs, 0.5) };
  });
}

/** How unlikely the unsteered model finds an answer; null for an empty one. */
async function ownPerplexity(
  model: Engine, prompt: readonly number[], { tokens }: ResultRecord, signal: AbortSignal,
): Promise<number | null> {
  const written = tokens.filter((token) => !model.isEndOfGeneration(token));
  return written.length === 0 ? null : perplexity(model, prompt, written, { signal });
}

async function jointHits(
  judges: readonly Evaluator[],
  records: readonly ResultRecord[],
  signal: AbortSignal | undefined,
): Promise<boolean[]> {
  const hits = records.map(() => true);
  for (const judge of judges) {
    const columns = await judge.evaluate(records.map((record) => ({ question: record.question, text: judgedText(record) })), signal);
    columns.forEach((column, index) => { hits[index] &&= column["hit"] === true; });
  }
  return hits;
}

function storedPoint({ schedule, found, deltaPerplexity, kl }: Candidate): NonNullable<EffectCalibration["curve"]>[number] {
  return {
    value: valueOf(schedule), found, cost: Number.isFinite(deltaPerplexity) ? deltaPerplexity : null,
    ...(kl && { kl: curvePoint(kl).kl }),
  };
}
