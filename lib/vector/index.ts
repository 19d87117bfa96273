export { cosines, linearCombination, normalised, pooled, projectOut, selected, vectorHash, type WeightedVector } from "./algebra.js";
export { delta, type Delta, type StepMeans } from "./delta.js";
export { select, type Selection } from "./selection.js";
export { SteeringVector } from "./steering-vector.js";
export { MAX_LAYERS, datasetSchema, fingerprintSchema, loadVector, readTensorFile, saveVector } from "./vector-file.js";
export {
  HOOK_SITES, PAIR_METHODS, assertMadeFor, directionIndex, norms, type Calibration, type DatasetReference, type DerivedOrigin,
  type HookSite, type IclOrigin, type ImportedOrigin, type ModelFingerprint, type PairMethod, type PairsOrigin, type Provenance,
  type VectorData,
} from "./vector.js";
export { fingerprintArgument, oneSteeringArgument, selectionArgument, siteArgument, steerArgument, vectorArgument } from "./arguments.js";
export type { LoadedSteering } from "./load-steering.js";
export type { ImportOptions } from "./interchange.js";
