import { requireInteger, requireNumber } from "../checks.js";
import { SteeringError } from "../errors.js";
import { datasetReference, type Dataset } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { promptedMessage, type Evaluator } from "../evaluate/index.js";
import type { FormatOptions } from "../prompt/index.js";
import type { Strategy, WrittenSchedule } from "../steering/index.js";
import { assertMadeFor, fixedAlphaOf, type EffectCalibration, type VectorData, SteeringVector } from "../vector/index.js";
import { answered, type Asked, type Outcome } from "./answered.js";
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
  /**
   * System message of the prompted baseline, which asks for the effect; null: no such baseline. Default: the vector's description, for a
   * vector from words; otherwise what the names of its datasets stand for. There is no such baseline where neither says what to ask for.
   */
  prompted?: string | null;
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
export interface Candidate extends Outcome {
  schedule: WrittenSchedule;
  /** KL in nats per token (`measureKl`); only in a search of fixed alphas. */
  kl?: KlPoint;
}

/** Results without steering, on the same questions. */
export interface CalibrationBaseline extends Outcome {
  label: "unsteered" | "prompted";
  /** The system message that asks for the effect; only for `prompted`. */
  message?: string;
}

/** Questions and tokens with which a search measures the KL. */
const KL_QUESTIONS = 4;
const KL_TOKENS = 12;

/**
 * Find the strength that has the effect at the least cost in fluency: the candidate with the lowest median cost (docs/method.md §8)
 * among those that reach the wanted share of answers. All candidates answer the same questions, in the vector's own format by default.
 * Without `candidates`, the search begins where the vector hardly moves the model and ends where it breaks it down.
 *
 * @returns the candidates' results, ascending; those of the unsteered model and of a system message that asks for the effect; and a copy
 *   of the vector with its calibration, or undefined if no candidate has the effect
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_DATASET, E_BAD_GGUF (no chat template), E_MODEL_MISMATCH, E_CONTEXT_FULL, E_ABORTED
 */
export async function calibrate(
  model: Engine,
  options: CalibrateOptions,
): Promise<{ tried: Candidate[]; baselines: CalibrationBaseline[]; vector: SteeringVector | undefined }> {
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
  const message = options.prompted === undefined ? usualMessage(vector) : options.prompted;
  const prompts = await calibrationPrompts(model, questions, { ...format, cost, n, iclExamples, maxNewTokens, message });
  const fixedAlpha = fixedAlphaOf(vector.provenance.calibration);
  const tried: Candidate[] = [];
  let [done, total] = [0, 0];
  const ask = async (asked: readonly Asked[]): Promise<Outcome[]> => {
    total += prompts.length * asked.length;
    return answered(model, asked, { vector, prompts, judges, cost, maxNewTokens, signal, onAnswer: () => onProgress?.(++done, total) });
  };
  const unsteered: Array<Omit<CalibrationBaseline, keyof Outcome>> = [
    { label: "unsteered" }, ...(message === null ? [] : [{ label: "prompted" as const, message }]),
  ];
  const found = await ask(unsteered.map(({ label }) => ({ prompt: label === "prompted" ? label : "no-icl", steer: [] })));
  const baselines = unsteered.map((each, index): CalibrationBaseline => ({ ...each, ...found[index]! }));
  const tryAll = async (values: readonly number[], alpha = fixedAlpha): Promise<void> => {
    const fresh = [...new Set(values)].filter((value) => !tried.some(({ schedule }) => valueOf(schedule) === value));
    const schedules = fresh.map((value) => scheduleOf(kind, value, alpha));
    const outcomes = await ask(schedules.map((schedule) => ({ prompt: "no-icl", steer: [{ vector: 0, schedule }] })));
    tried.push(...outcomes.map((outcome, index) => ({ schedule: schedules[index]!, ...outcome })));
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
  if (!best) return { tried, baselines, vector: undefined };
  const effect = judges.map(({ name, property, wanted: side }) => `${property ?? name} ${side}`).join(" and ");
  const { schedule, deltaPerplexity } = best;
  const calibration: EffectCalibration = {
    by: "effect", schedule, found: best.found, deltaPerplexity, ...(cost === "perplexity" && { costBy: cost }),
    effect, wanted, n: prompts.length, questions: datasetReference(questions), curve: tried.map(storedPoint),
  };
  return { tried, baselines, vector: new SteeringVector({ ...vector, provenance: { ...vector.provenance, calibration } }) };
}

/** Throws E_BAD_ARGUMENT if the vector was extracted from the questions: calibration needs held-out questions. */
function assertHeldOut({ provenance: { origin } }: VectorData, questions: Dataset): void {
  const { hash } = datasetReference(questions);
  if ("positive" in origin && (hash === origin.positive.hash || hash === origin.negative.hash)) {
    throw new SteeringError("E_BAD_ARGUMENT", `the vector was extracted from ${questions.name}; calibrate it with other questions`);
  }
}

/** The message that asks for a vector's effect; null if nothing says what to ask for. */
function usualMessage({ provenance: { origin } }: VectorData): string | null {
  if (origin.kind === "words") {
    const [paraphrase = "You are someone who {}."] = origin.paraphrases;
    return paraphrase.replace("{}", () => origin.towards);
  }
  if (!("positive" in origin)) return null;
  const [shows, lacks] = [origin.positive, origin.negative].map(({ name }) => ({ name, instruction: "" }));
  return promptedMessage(shows!, lacks!) ?? null;
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

function storedPoint({ schedule, found, deltaPerplexity, kl }: Candidate): NonNullable<EffectCalibration["curve"]>[number] {
  return {
    value: valueOf(schedule), found, cost: Number.isFinite(deltaPerplexity) ? deltaPerplexity : null,
    ...(kl && { kl: curvePoint(kl).kl }),
  };
}
