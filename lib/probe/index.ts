export { Monitor, watched } from "./monitor.js";
export { decodeProbe, isProbe, loadProbe, saveProbe } from "./probe-file.js";
export { probeLogit, type Probe, type ProbeLayer, type ProbeMetrics, type ProbeProvenance } from "./probe.js";
export { probeTexts, trainProbe } from "./train.js";
export { probeArgument } from "./arguments.js";
export type { ProbeJudgement, ProbeText, ProbeTextsOptions, TrainProbeOptions } from "./train.js";
