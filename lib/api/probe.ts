/** Logistic regressions on a model's activations: judges that need no second model. */
export { probeTexts as read, trainProbe as train } from "../evaluate/probe.js";
export { loadProbe as load, saveProbe as save } from "../io/probe-file.js";
export { probeLogit as logit } from "../steering/index.js";
