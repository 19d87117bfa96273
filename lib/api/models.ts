/** Models that are known by name, and those of Hugging Face: downloads that resume, are verified and land whole. */
export { fetchHubFile as fetchFile, findPullable as find, isNamedModel as isNamed, pullModel as pull, resolveModel as resolve } from "../io/pull.js";
export { isInstalled, isOwn, modelPath as path, registryModels as list } from "../io/registry.js";
export { homeFolder } from "../io/paths.js";
