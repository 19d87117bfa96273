import { given, checked } from "../arguments/index.js";
import { datasetArgument } from "../dataset/index.js";
import { variablesArgument } from "../prompt/index.js";
import { vectorArgument } from "../vector/index.js";
import { calibrateByKl as findByKl, type KlCalibrationOptions } from "./by-kl.js";
import { calibrate as findIntensity, type CalibrateOptions } from "./calibrate.js";
import { measureKl as measure, type MeasureKlOptions } from "./measure-kl.js";

const { number, signal, callback, text } = given;
const format = { format: text.optional(), system: text.optional(), templateVariables: variablesArgument.optional() };
const running = { maxNewTokens: number.optional(), signal: signal.optional(), onProgress: callback.optional() };

const parts = given.optionsOf<NonNullable<MeasureKlOptions["selection"]>>({
  layers: given.indices, heads: given.indices, tail: given.anything,
});

/** @function */
export const calibrate = checked("calibrate", findIntensity, {
  model: given.model,
  options: given.requiredOf<CalibrateOptions>({
    vector: vectorArgument, questions: datasetArgument, evaluators: given.list(given.evaluator), wanted: number.optional(),
    kind: text.optional(), candidates: given.list(number).optional(), cost: text.optional(),
    prompted: text.nullable().optional(), n: number.optional(), iclExamples: number.optional(), ...format, ...running,
  }),
});

/** @function */
export const calibrateByKl = checked("calibrateByKl", findByKl, {
  model: given.model,
  options: given.requiredOf<KlCalibrationOptions>({
    vector: vectorArgument, questions: datasetArgument, budget: number.optional(), budgetOf: text.optional(), n: number.optional(),
    ...format, ...running,
  }),
});

/** @function */
export const measureKl = checked("measureKl", measure, {
  model: given.model, vector: vectorArgument,
  options: given.requiredOf<MeasureKlOptions>({
    alphas: given.list(number), questions: given.list(text), selection: parts, ...format, ...running,
  }),
});
