import { given, guarded, guardMethods } from "../guard/index.js";
import { loadingArgument, loadingTranslatorArgument } from "./arguments.js";
import { Classifier, loadClassifier as openClassifier } from "./classifier.js";
import { loadTranslator as openTranslator } from "./translator.js";

/** @function */
export const loadClassifier = guarded("loadClassifier", openClassifier, { nameOrPath: given.path, options: loadingArgument });
/** @function */
export const loadTranslator = guarded("loadTranslator", openTranslator, { nameOrPath: given.path, options: loadingTranslatorArgument });

guardMethods("classifier", Classifier.prototype, {
  classify: { texts: given.list(given.text), options: given.options({ signal: given.signal }) },
}, { rejects: true });
