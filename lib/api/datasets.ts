/** Datasets: rows of an input and an output, by name or as files; importers of other formats. */
import * as all from "../dataset/index.js";
import { answerPairs } from "../extract/text-pairs.js";
import * as given from "./arguments.js";
import { guarded } from "./guard.js";
export { HUB_SOURCES } from "../dataset/index.js";

/** @function */
export const baseName = guarded("datasets.baseName", all.baseName, { nameOrPath: given.text });
/** @function */
export const names = guarded("datasets.names", all.datasetNames, { folder: given.path.optional() });
/** @function */
export const parts = guarded("datasets.parts", all.datasetParts, { name: given.path, folder: given.path.optional() });
/** @function */
export const reference = guarded("datasets.reference", all.datasetReference, { dataset: given.dataset });
/** @function */
export const folder = guarded("datasets.folder", all.datasetsFolder, { model: given.name.optional() });
/** @function */
export const differingQueries = guarded("datasets.differingQueries", all.differingQueries, { a: given.dataset, b: given.dataset });
/** @function */
export const importAlpaca = guarded("datasets.importAlpaca", all.importAlpaca, { path: given.path, options: given.options({ limit: given.number, maxLength: given.number, signal: given.signal }) });
/** @function */
export const importBeaverTails = guarded("datasets.importBeaverTails", all.importBeaverTails, { path: given.path, options: given.required({ safe: given.flag, limit: given.number.optional(), seed: given.number.optional(), signal: given.signal.optional() }) });
/** @function */
export const importColumns = guarded("datasets.importColumns", all.importColumns, { path: given.path, columns: given.required({ input: given.text, output: given.text }), options: given.options({ limit: given.number, signal: given.signal }) });
/** @function */
export const importPairs = guarded("datasets.importPairs", all.importPairs, { inputs: given.path, outputs: given.path, options: given.options({ limit: given.number, signal: given.signal }) });
/** @function */
export const load = guarded("datasets.load", all.loadDataset, { nameOrPath: given.path, folder: given.path.optional(), options: given.options({ signal: given.signal }) });
/** @function */
export const save = guarded("datasets.save", all.saveDataset, { folder: given.path, dataset: given.namedDataset });
/** @function */
export const testPart = guarded("datasets.testPart", all.testPart, { name: given.path, folder: given.path.optional() });
/** @function */
export const pairs = guarded("datasets.pairs", answerPairs, { positive: given.dataset, negative: given.dataset });
