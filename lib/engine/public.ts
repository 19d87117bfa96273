import { given, checked, checkMethods } from "../arguments/index.js";
import { loadingArgument, loadingTranslatorArgument } from "./arguments.js";
import { Classifier, loadClassifier as openClassifier } from "./classifier.js";
import { Embedder, loadEmbedder as openEmbedder } from "./embedder.js";
import { loadTranslator as openTranslator } from "./translator.js";

const stopping = given.optionsOf<{ signal?: AbortSignal }>({ signal: given.signal });

/** @function */
export const loadClassifier = checked("loadClassifier", openClassifier, { nameOrPath: given.path, options: loadingArgument });
/** @function */
export const loadEmbedder = checked("loadEmbedder", openEmbedder, { nameOrPath: given.path, options: loadingArgument });
/** @function */
export const loadTranslator = checked("loadTranslator", openTranslator, { nameOrPath: given.path, options: loadingTranslatorArgument });

checkMethods("classifier", Classifier.prototype, {
  classify: { texts: given.list(given.text), options: stopping },
}, { rejects: true });
checkMethods("embedder", Embedder.prototype, {
  embed: { texts: given.list(given.text), options: stopping },
}, { rejects: true });
