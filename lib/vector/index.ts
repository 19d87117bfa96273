export {
  dynamicSettings, fixedAlphaOf, knownStrength, strengthNotice, strongAndCap, withCalibrated, type KnownStrength,
} from "./calibrated.js";
export { cosines, linearCombination, normalised, pooled, projectOut, selected, vectorHash, type WeightedVector } from "./algebra.js";
export { askedForm, formatNotice, sharedForm, shownVariables } from "./asked-form.js";
export { delta, type Delta, type StepMeans } from "./delta.js";
export { HOOK_SITES, assertHeads, hasHeads, type HookSite } from "./hook-site.js";
export { select, type Selection } from "./selection.js";
export { SteeringVector, type HowToAdd } from "./steering-vector.js";
export {
  FORMATS, MAX_LAYERS, PAIR_METHODS, VERDICTS, WORD_POOLINGS, datasetSchema, fingerprintSchema, formatOf,
  type Calibration, type CurvePoint, type DatasetReference, type DerivedOrigin, type DescriptionCalibration, type EffectCalibration,
  type Format, type Health,
  type IclOrigin, type ImportedOrigin, type KlCalibration, type LayerHealth, type ModelFingerprint, type PairMethod, type PairsOrigin,
  type Provenance, type WordsOrigin,
} from "./provenance.js";
export { decodeVector, encodeVector, loadVector, readTensorFile, saveVector } from "./vector-file.js";
export { assertMadeFor, directionIndex, norms, type VectorData } from "./vector.js";
export { fingerprintArgument, oneSteeringArgument, siteArgument, steerArgument, vectorArgument } from "./arguments.js";
export { loadSteering, readSteering, type LoadedSteering, type Readers } from "./load-steering.js";
export { assertReadsBefore, gateNotice, parseGate, type FullGate, type Gate, type GateProbe } from "./gate.js";
export type { ImportOptions } from "./interchange.js";
