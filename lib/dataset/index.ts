export {
  assertDataset, assertDifferent, baseName, datasetNames, datasetParts, datasetReference, datasetsFolder, differingQueries,
  includedDatasets, isDatasetName, loadDataset, NAME_OR_FILE, saveDataset, testPart, unknownDataset, type Columns, type Dataset,
  type LoadDatasetOptions, type Row,
} from "./dataset.js";
export { HUB_SOURCES, importAlpaca, importBeaverTails, importColumns, importPairs, type ImportLimits } from "./import.js";
export { loadQuestions } from "./questions.js";
export { questionPrompt } from "./question.js";
export { isTableFile } from "./table.js";
export { datasetArgument } from "./arguments.js";
