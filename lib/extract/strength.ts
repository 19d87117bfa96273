import { calibrateByKl, measureKl } from "../calibrate/index.js";
import { datasetsFolder, loadDataset, type Dataset, type Row } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { SteeringError } from "../errors.js";
import type { FormatOptions } from "../prompt/index.js";
import { fixedAlphaOf, SteeringVector, type DescriptionCalibration, type IclOrigin } from "../vector/index.js";
import { EVERYDAY_QUESTIONS, HELD_OUT_QUESTIONS } from "./everyday-questions.js";
import { gainMeasure, type MeasureGain } from "./likelihood-gain.js";
import { withEffect } from "./random-control.js";
import { searchSchedule } from "./schedule-search.js";

/** Fewer questions than this say too little; then everyday questions are asked instead. */
const ENOUGH = 4;
/** Our everyday questions that no vector of ours is made from. */
const EVERYDAY = "ENG_test";
/** How much of them the comparison with a random vector reads. */
const CONTROL = { questions: 4, maxNewTokens: 12 };
/** What the search for a schedule reads: longer than Dim steers, so that an effect that ends with it shows. */
const SEARCH = { questions: 4, maxNewTokens: 32 };

interface StrengthOptions extends Pick<FormatOptions, "templateVariables"> {
  positive?: Dataset;
  /** Questions that the vector was made from. */
  questions?: readonly string[];
  signal?: AbortSignal;
}

/**
 * The vector with the alpha that spends the KL budget as its calibration, measured with a few held-out questions, or, if it is from words,
 * the schedule near it that serves its description best; and its health beside a random vector. As it is, if there is no such alpha or no
 * question fits into the context. Throws E_ABORTED, and what `calibrateByKl` throws.
 */
export async function withStrength(
  model: Engine, vector: SteeringVector, options: StrengthOptions,
): Promise<SteeringVector> {
  const { templateVariables, signal } = options;
  const questions = await questionsFor(model, vector, options);
  const how = { ...(templateVariables && { templateVariables }), ...(signal && { signal }) };
  try {
    const { vector: found } = await calibrateByKl(model, { vector, questions, ...how });
    const calibration = found?.provenance.calibration;
    const alpha = fixedAlphaOf(calibration);
    if (!found || alpha === undefined) return vector;
    const asking = ({ questions: n, maxNewTokens }: typeof CONTROL): { questions: string[]; maxNewTokens: number } =>
      ({ questions: questions.rows.slice(0, n).map(({ input }) => input), maxNewTokens });
    const { origin } = found.provenance;
    const measure = origin.kind === "words" ? gainMeasure(model, origin, { ...how, ...asking(SEARCH) }) : undefined;
    const { vector: tuned, gain: own, problem } = measure ? await withBestSchedule(found, measure) : { vector: found };
    return await withEffect(tuned, alpha, {
      kl: async (one) => (await measureKl(model, one, { alphas: [alpha], ...how, ...asking(CONTROL) }))[0]!.mean,
      gain: measure && { measure, own }, problem,
    });
  } catch (error) {
    if ((error as SteeringError).code === "E_CONTEXT_FULL") return vector;
    throw error;
  }
}

interface Tuned {
  vector: SteeringVector;
  /** Of its schedule. */
  gain?: number;
  /** Why no schedule is good, in words. */
  problem?: string;
}

/** A vector from words with the schedule that serves its description best, and its gain; as it is if none does. */
async function withBestSchedule(vector: SteeringVector, measure: MeasureGain): Promise<Tuned> {
  const { calibration } = vector.provenance;
  if (calibration?.by !== "kl") return { vector };
  const spending = calibration.spending ?? fixedAlphaOf(calibration)!;
  const { best, tried } = await searchSchedule(spending, (schedule) => measure(vector, schedule));
  if (!best) return { vector, problem: "no strength that was tried moves answers towards the description and leaves them fluent" };
  const known = (figure: number): number | null => (Number.isFinite(figure) ? figure : null);
  const found: DescriptionCalibration = {
    ...calibration, by: "description", schedule: best.schedule, spending, variety: best.variety,
    tried: tried.map(({ schedule, gain, loss, variety }) =>
      ({ schedule, gain: known(gain), loss: known(loss), variety: known(variety) })),
  };
  return { vector: new SteeringVector({ ...vector, provenance: { ...vector.provenance, calibration: found } }), gain: best.gain };
}

/** Questions that the vector was not made from: rows of its dataset, or everyday questions; if there are none, the dataset's own. */
async function questionsFor(
  model: Engine, { provenance: { origin } }: SteeringVector, { positive, questions = [] }: StrengthOptions,
): Promise<Dataset> {
  if (!positive) {
    const used = new Set(questions.map((question) => question.trim()));
    const rows = [...HELD_OUT_QUESTIONS, ...EVERYDAY_QUESTIONS].filter((input) => !used.has(input)).map((input) => ({ input, output: "" }));
    return { name: "held-out everyday questions", instruction: "", rows: rows.slice(0, HELD_OUT_QUESTIONS.length) };
  }
  const unused = origin.kind === "icl" ? unusedRows(positive, origin) : [];
  if (unused.length >= ENOUGH) return { ...positive, rows: unused };
  return await everydayDataset(model) ?? positive;
}

/** Our everyday questions in the folder of datasets; undefined if it has none. */
export async function everydayDataset(model: Engine): Promise<Dataset | undefined> {
  try {
    return await loadDataset(EVERYDAY, datasetsFolder(model.info.path));
  } catch (error) {
    if ((error as SteeringError).code !== "E_NOT_FOUND") throw error;
    return undefined;
  }
}

/** The rows of groups that were not drawn. */
function unusedRows({ rows }: Dataset, { iclExamples, supportIndices }: Pick<IclOrigin, "iclExamples" | "supportIndices">): Row[] {
  const drawn = new Set(supportIndices);
  return rows.filter((_, index) => !drawn.has(Math.floor(index / (iclExamples + 1))));
}
