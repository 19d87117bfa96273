export { baseName, datasetNames, datasetParts, datasetReference, datasetsFolder, differingQueries, loadDataset, saveDataset, type Columns, type Dataset, type Row } from "./dataset.js";
export { isTableFile } from "./table.js";
export { HUB_SOURCES, importAlpaca, importBeaverTails, importColumns, importPairs, type ImportLimits } from "./import.js";
