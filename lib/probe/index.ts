export { Monitor } from "./monitor.js";
export { probeLogit, type Probe, type ProbeLayer, type ProbeMetrics, type ProbeProvenance } from "./probe.js";
export { probeTexts } from "./train.js";
