/** Logistic regressions on a model's activations: judges that need no second model. */
import { probeTexts, trainProbe } from "../probe/train.js";
import { loadProbe, saveProbe } from "../probe/probe-file.js";
import { probeLogit } from "../probe/index.js";
import * as given from "./arguments.js";
import { guarded } from "./guard.js";

/** @function */
export const read = guarded("probe.read", probeTexts, { model: given.model, probe: given.probe, texts: given.list(given.required({ question: given.text.optional(), text: given.text })), options: given.options({ allowMismatch: given.flag, ...given.stops }) });
/** @function */
export const train = guarded("probe.train", trainProbe, { model: given.model, options: given.training });
/** @function */
export const load = guarded("probe.load", loadProbe, { path: given.path });
/** @function */
export const save = guarded("probe.save", saveProbe, { path: given.path, probe: given.writtenProbe });
/** @function */
export const logit = guarded("probe.logit", probeLogit, { probe: given.required({ weights: given.floats, bias: given.number }), activation: given.floats });
