export { downloadChecked, mismatch, sha256File } from "./download.js";
export { fetchBytes } from "./http.js";
export { isNamedModel, resolveModel } from "./pull.js";
export { ownDatasets } from "./registry.js";
export type { OnProgress } from "./download.js";
export type { Pullable, PullOptions } from "./pull.js";
export type { ModelEntry } from "./registry.js";
export { fetchHubFile } from "./pull.js";
export { isOwn } from "./registry.js";
