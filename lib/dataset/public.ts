/** Datasets of inputs and outputs, by name or as files; importers for other formats. */
import { given, checked } from "../arguments/index.js";
import { datasetArgument } from "./arguments.js";
import * as all from "./dataset.js";
import * as imports from "./import.js";

const { limit, signal } = { limit: given.number, signal: given.signal };
const limits = given.optionsOf<imports.ImportLimits>({ limit, signal });

/** @function */
export const names = checked("datasets.names", all.datasetNames, { folder: given.path.optional() });
/** @function */
export const folder = checked("datasets.folder", all.datasetsFolder, { model: given.name.optional() });
/** @function */
export const load = checked("loadDataset", all.loadDataset, {
  nameOrPath: given.path, folder: given.path.optional(), options: given.optionsOf<all.LoadDatasetOptions>({ signal }),
});
/** @function */
export const save = checked("datasets.save", all.saveDataset, {
  folder: given.path,
  dataset: datasetArgument.refine((value) => given.path.safeParse((value as { name: string }).name).success,
    "expected a dataset whose name is a valid file name"),
});
/** @function */
export const importAlpaca = checked("datasets.importAlpaca", imports.importAlpaca, {
  path: given.path, options: given.optionsOf<imports.ImportLimits & { maxLength?: number }>({ limit, maxLength: given.number, signal }),
});
/** @function */
export const importBeaverTails = checked("datasets.importBeaverTails", imports.importBeaverTails, {
  path: given.path,
  options: given.requiredOf<imports.ImportLimits & { safe: boolean; seed?: number }>({
    safe: given.flag, limit: limit.optional(), seed: given.number.optional(), signal: signal.optional(),
  }),
});
/** @function */
export const importColumns = checked("datasets.importColumns", imports.importColumns, {
  path: given.path, columns: given.requiredOf<all.Columns>({ input: given.text, output: given.text }), options: limits,
});
/** @function */
export const importPairs = checked("datasets.importPairs", imports.importPairs, {
  inputs: given.path, outputs: given.path, options: limits,
});
