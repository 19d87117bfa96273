export { Monitor, watched } from "./monitor.js";
export { decodeProbe, isProbe, loadProbe, saveProbe } from "./probe-file.js";
export { probeLogit, PROBE_READS, type Probe, type ProbeLayer, type ProbeMetrics, type ProbeProvenance, type ProbeReads } from "./probe.js";
export { probeTexts, trainProbe } from "./train.js";
export { probeArgument } from "./arguments.js";
export type { ProbeText } from "./read-texts.js";
export type { ProbeJudgement, ProbeTextsOptions, TrainProbeOptions } from "./train.js";
