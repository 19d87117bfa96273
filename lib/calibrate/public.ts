import { datasetArgument } from "../dataset/index.js";
import { given, checked } from "../arguments/index.js";
import { vectorArgument } from "../vector/index.js";
import { calibrate as findIntensity } from "./calibrate.js";

const { number, signal, callback } = given;

/** @function */
export const calibrate = checked("calibrate", findIntensity, {
  model: given.model,
  options: given.required({
    vector: vectorArgument, questions: datasetArgument, evaluators: given.list(given.evaluator), wanted: number.optional(),
    kind: given.text.optional(), candidates: given.list(number).optional(), n: number.optional(), iclExamples: number.optional(),
    maxNewTokens: number.optional(), signal: signal.optional(), onProgress: callback.optional(),
  }),
});
