import { calibrateByKl, measureKl } from "../calibrate/index.js";
import { datasetsFolder, loadDataset, type Dataset, type Row } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";
import { SteeringError } from "../errors.js";
import type { FormatOptions } from "../prompt/index.js";
import { fixedAlphaOf, type IclOrigin, type SteeringVector } from "../vector/index.js";
import { EVERYDAY_QUESTIONS, HELD_OUT_QUESTIONS } from "./everyday-questions.js";
import { gainMeasure } from "./likelihood-gain.js";
import { withEffect } from "./random-control.js";

/** Fewer questions than this say too little; then everyday questions are asked instead. */
const ENOUGH = 4;
/** Our everyday questions that no vector of ours is made from. */
const EVERYDAY = "ENG_test";
/** How much of them the comparison with a random vector reads. */
const CONTROL = { questions: 4, maxNewTokens: 12 };

interface StrengthOptions extends Pick<FormatOptions, "templateVariables"> {
  positive?: Dataset;
  /** Questions that the vector was made from. */
  questions?: readonly string[];
  signal?: AbortSignal;
}

/**
 * The vector with the alpha that spends the KL budget as its calibration, measured with a few held-out questions, and its health beside a
 * random vector at that alpha. As it is, if there is no such alpha or no question fits into the context. Throws E_ABORTED, and what
 * `calibrateByKl` throws.
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
    const asked = questions.rows.slice(0, CONTROL.questions).map(({ input }) => input);
    const { origin } = found.provenance;
    const measuring = { ...how, questions: asked, maxNewTokens: CONTROL.maxNewTokens };
    const gain = origin.kind === "words" ? gainMeasure(model, origin, measuring) : undefined;
    return await withEffect(found, alpha, {
      kl: async (one) => (await measureKl(model, one, { alphas: [alpha], ...measuring }))[0]!.mean,
      gain: gain && ((one) => gain(one, alpha)), variety: calibration?.by === "kl" ? calibration.variety : undefined,
    });
  } catch (error) {
    if ((error as SteeringError).code === "E_CONTEXT_FULL") return vector;
    throw error;
  }
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
