import { fluencyEvaluator, formalityEvaluator, guardEvaluator, languageEvaluator, loadClassifier, openTranslator, perplexityEvaluator, questionPrompt, translatedEvaluator, type Classifier, type Evaluator, type LanguageDetectorName, type Model, type TextTranslator, type WantedProperties } from "../lib/index.js";
import { defined, type ModelOptions } from "./common.js";
import { openModel, pullIfNamed } from "./open-model.js";

/** Which evaluators, as the command line names them. */
export interface KitOptions extends Omit<ModelOptions, "model"> {
  language: string | undefined;
  detector: LanguageDetectorName | undefined;
  candidates: string | undefined;
  safety: string | undefined;
  formality: string | undefined;
  sure: number | undefined;
  translate: string | undefined;
  perplexity: string | undefined;
}

/** A batch for a CPU; more answers wait their turn. */
const ROOM = { maxSequences: 32, contextSize: 16_384 };

/** The models of the evaluators that the command line asks for, loaded once for any number of runs. */
export class EvaluationKit implements AsyncDisposable {
  private readonly loaded = new Map<string, Model>();
  private classifier: Classifier | undefined;
  private translator: TextTranslator | undefined;

  private constructor(private readonly options: KitOptions) {}

  static async open(options: KitOptions, signal: AbortSignal): Promise<EvaluationKit> {
    const kit = new EvaluationKit(options);
    try {
      const { safety, formality, perplexity, translate } = options;
      for (const model of new Set([safety, perplexity])) if (model !== undefined) kit.loaded.set(model, await openModel({ ...options, model }, signal, ROOM));
      if (formality !== undefined) kit.classifier = await openClassifier(formality, options, signal);
      if (translate !== undefined) kit.translator = await openNamedTranslator(translate, options, signal);
      return kit;
    } catch (error) {
      await kit[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The evaluators, for what is wanted. Throws E_BAD_GGUF where a model is not of the kind. */
  async evaluators(wanted: WantedProperties): Promise<Evaluator[]> {
    const { detector, candidates } = this.options;
    const { classifier } = this;
    const [guard, perplexity] = [this.options.safety, this.options.perplexity].map((name) => (name === undefined ? undefined : this.loaded.get(name)!));
    return [
      await languageEvaluator({ wanted: wanted.language, ...defined({ detector }), candidates: candidates === "all" ? "all" : candidates?.split(",") }),
      fluencyEvaluator(),
      ...(guard ? [await this.inEnglish(await guardEvaluator(guard, { wanted: wanted.safety }))] : []),
      ...(classifier ? [await this.inEnglish(await formalityEvaluator(classifier, { wanted: wanted.formality, ...defined({ sure: this.options.sure }) }))] : []),
      ...(perplexity ? [await perplexityEvaluator(perplexity, questionPrompt)] : []),
    ];
  }

  private async inEnglish(evaluator: Evaluator): Promise<Evaluator> {
    return this.translator ? translatedEvaluator(evaluator, this.translator) : evaluator;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const model of this.loaded.values()) await model[Symbol.asyncDispose]();
    this.classifier?.dispose();
    this.translator?.dispose();
  }
}

async function openNamedTranslator(name: string, options: KitOptions, signal: AbortSignal): Promise<TextTranslator | undefined> {
  await pullIfNamed(name, options, signal);
  return openTranslator(name);
}

async function openClassifier(name: string, options: KitOptions, signal: AbortSignal): Promise<Classifier> {
  await pullIfNamed(name, options, signal);
  return loadClassifier(name, defined({ threads: options.threads, gpuLayers: options.gpuLayers }));
}
