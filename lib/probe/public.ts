/** Probes: logistic regressions on a model's activations, which judge texts without a second model. */
import { datasetArgument } from "../dataset/index.js";
import { given, checked } from "../arguments/index.js";
import { formatShape } from "../prompt/index.js";
import { siteArgument } from "../vector/index.js";
import { probeArgument, readsArgument } from "./arguments.js";
import { loadProbe, saveProbe } from "./probe-file.js";
import { probeLogit } from "./probe.js";
import { probeTexts, trainProbe, type ProbeTextsOptions, type TrainProbeOptions } from "./train.js";

/** @function */
export const read = checked("probe.read", probeTexts, {
  model: given.model, probe: probeArgument, texts: given.list(given.required({ question: given.text.optional(), text: given.text })),
  options: given.optionsOf<ProbeTextsOptions>({ allowMismatch: given.flag, ...formatShape, ...given.stops }),
});
/** @function */
export const train = checked("probe.train", trainProbe, {
  model: given.model,
  options: given.requiredOf<TrainProbeOptions>({
    positive: datasetArgument, negative: datasetArgument, reads: readsArgument.optional(),
    site: siteArgument.optional(), layers: given.tokens.optional(),
    folds: given.number.optional(), lambdas: given.list(given.number).optional(), seed: given.number.optional(),
    evalPositive: datasetArgument.optional(), evalNegative: datasetArgument.optional(),
    ...formatShape, signal: given.signal.optional(), onProgress: given.callback.optional(),
  }),
});
/** @function */
export const load = checked("loadProbe", loadProbe, { path: given.path });
/** @function */
export const save = checked("probe.save", saveProbe, {
  path: given.path,
  probe: probeArgument.refine((value) => given.isWritable({ ...(value as object), weights: null }),
    "JSON cannot represent this probe; expected a probe, as returned by probe.train"),
});
/** @function */
export const logit = checked("probe.logit", probeLogit, {
  probe: given.required({ weights: given.floats, bias: given.number }), activation: given.floats,
});
