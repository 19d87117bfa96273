/** Datasets: rows of an input and an output, by name or as files; importers of other formats. */
export { baseName, datasetNames as names, datasetParts as parts, datasetReference as reference, datasetsFolder as folder, differingQueries, HUB_SOURCES, importAlpaca, importBeaverTails, importColumns, importPairs, loadDataset as load, saveDataset as save, testPart } from "../dataset/index.js";
export { answerPairs as pairs } from "../experiment/text-pairs.js";
