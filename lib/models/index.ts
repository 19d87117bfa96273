export { sha256File } from "./download.js";
export { isNamedModel, resolveModel } from "./pull.js";
export { ownDatasets } from "./registry.js";
