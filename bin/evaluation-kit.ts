import { fluencyEvaluator, formalityEvaluator, guardEvaluator, languageEvaluator, loadClassifier, loadProbe, openTranslator, perplexityEvaluator, probeEvaluator, questionPrompt, SteeringError, translatedEvaluator, wantedSide, type Classifier, type Evaluator, type LanguageDetectorName, type Model, type Probe, type TextTranslator, type WantedProperties } from "../lib/index.js";
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
  probe: string[];
  probeModel: string | undefined;
  perplexity: string | undefined;
}

/** A batch for a CPU; more answers wait their turn. */
const ROOM = { maxSequences: 32, contextSize: 16_384 };

/** The models of the evaluators that the command line asks for, loaded once for any number of runs. */
export class EvaluationKit implements AsyncDisposable {
  private readonly loaded = new Map<string, Model>();
  private classifier: Classifier | undefined;
  private probes: Probe[] = [];
  private translator: TextTranslator | undefined;

  private constructor(private readonly options: KitOptions) {}

  static async open(options: KitOptions, signal: AbortSignal): Promise<EvaluationKit> {
    const kit = new EvaluationKit(options);
    try {
      const { safety, formality, perplexity, translate } = options;
      kit.probes = await Promise.all(options.probe.map(loadProbe));
      for (const model of [safety, perplexity]) if (model !== undefined) await kit.model(model, signal);
      if (formality !== undefined) kit.classifier = await openClassifier(formality, options, signal);
      if (translate !== undefined) kit.translator = await openNamedTranslator(translate, options, signal);
      return kit;
    } catch (error) {
      await kit[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The evaluators, for what is wanted; `model`: whose activations probes read. Throws E_BAD_GGUF where a model is not of the kind. */
  async evaluators(wanted: WantedProperties, model: string | undefined, signal: AbortSignal): Promise<Evaluator[]> {
    const { detector, candidates } = this.options;
    const { classifier } = this;
    const [guard, perplexity] = [this.options.safety, this.options.perplexity].map((name) => (name === undefined ? undefined : this.loaded.get(name)!));
    return [
      await languageEvaluator({ wanted: wanted.language, ...defined({ detector }), candidates: candidates === "all" ? "all" : candidates?.split(",") }),
      fluencyEvaluator(),
      ...(guard ? [await this.inEnglish(await guardEvaluator(guard, { wanted: wanted.safety }))] : []),
      ...(classifier ? [await this.inEnglish(await formalityEvaluator(classifier, { wanted: wanted.formality, ...defined({ sure: this.options.sure }) }))] : []),
      ...await this.probeEvaluators(wanted, this.options.probeModel ?? model, signal),
      ...(perplexity ? [await perplexityEvaluator(perplexity, questionPrompt)] : []),
    ];
  }

  private async probeEvaluators(wanted: WantedProperties, name: string | undefined, signal: AbortSignal): Promise<Evaluator[]> {
    if (this.probes.length === 0) return [];
    if (name === undefined) throw new SteeringError("E_BAD_ARGUMENT", "a probe reads activations of the model that it was trained on: name it with --probe-model");
    const model = await this.model(name, signal);
    return this.probes.map((probe) => probeEvaluator(model, probe, defined({ wanted: wantedSide(probe, wanted) })));
  }

  private async model(name: string, signal: AbortSignal): Promise<Model> {
    const loaded = this.loaded.get(name) ?? await openModel({ ...this.options, model: name }, signal, ROOM);
    this.loaded.set(name, loaded);
    return loaded;
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
