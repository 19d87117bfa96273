// The few words that need no namespace.
import { loadDataset as readDataset } from "../dataset/index.js";
import { calibrate as findIntensity } from "../calibrate/calibrate.js";
import { extract as extractVector } from "../extract/extract.js";
import { compose as composed, replay as replayed } from "../generate/index.js";
import { fromLlama as optionsOf, loadModel as openModel } from "../model/index.js";
import { loadClassifier as openClassifier, loadTranslator as openTranslator } from "../engine/index.js";
import { loadSteering as readSteering } from "../vector/load-steering.js";
import * as given from "./arguments.js";
import { guarded } from "./guard.js";

/** @function */
export const loadModel = guarded("loadModel", openModel, { nameOrPath: given.path, options: given.loading });
/** @function */
export const fromLlama = guarded("fromLlama", optionsOf, { llama: given.required({ gpu: given.gpu, maxThreads: given.number }) });
/** @function */
export const replay = guarded("replay", replayed, { steer: given.steer, result: given.generated });
/** @function */
export const compose = guarded("compose", composed, { part: given.steer }, { isRest: true });
/** @function */
export const extract = guarded("extract", extractVector, { model: given.model, options: given.extracting });
/** @function */
export const calibrate = guarded("calibrate", findIntensity, { model: given.model, options: given.calibrating });
/** @function */
export const loadDataset = guarded("loadDataset", readDataset, { nameOrPath: given.path, folder: given.path.optional(), options: given.options({ signal: given.signal }) });
/** @function */
export const loadSteering = guarded("loadSteering", readSteering, { spec: given.anything });
/** @function */
export const loadClassifier = guarded("loadClassifier", openClassifier, { nameOrPath: given.path, options: given.loading });
/** @function */
export const loadTranslator = guarded("loadTranslator", openTranslator, { nameOrPath: given.path, options: given.loadingTranslator });
