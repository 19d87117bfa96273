/** Models that are known by name, and those of Hugging Face: downloads that resume, are verified and land whole. */
import { fetchHubFile, findPullable, isNamedModel, pullModel, resolveModel } from "../models/pull.js";
import { isInstalled as installed, isOwn as own, modelPath, registryModels } from "../models/registry.js";
import { homeFolder as home } from "../formats/paths.js";
import * as given from "./arguments.js";
import { guarded } from "./guard.js";

/** @function */
export const fetchFile = guarded("models.fetchFile", fetchHubFile, { pathOrAddress: given.path, options: given.pulling });
/** @function */
export const find = guarded("models.find", findPullable, { name: given.name });
/** @function */
export const isNamed = guarded("models.isNamed", isNamedModel, { nameOrPath: given.text });
/** @function */
export const pull = guarded("models.pull", pullModel, { model: given.pullable, options: given.pulling });
/** @function */
export const resolve = guarded("models.resolve", resolveModel, { nameOrPath: given.path, options: given.resolving });
/** @function */
export const isInstalled = guarded("models.isInstalled", installed, { model: given.pullable });
/** @function */
export const isOwn = guarded("models.isOwn", own, { model: given.pullable });
/** @function */
export const path = guarded("models.path", modelPath, { model: given.pullable });
/** @function */
export const list = guarded("models.list", registryModels, {});
/** @function */
export const homeFolder = guarded("models.homeFolder", home, { env: given.environment });
