import { wantedSide, type WantedProperties } from "../lib/evaluate/index.js";
import { evaluate, loadClassifier, probe as probeApi, type Classifier, type Evaluator, type GuardEvaluatorOptions, type GuardForm, type LanguageDetectorName, type TextTranslator } from "../lib/experiments.js";
import { parseJson, readUtf8 } from "../lib/formats/index.js";
import { prompts, SteeringError, type Model, type Probe } from "../lib/index.js";
import { defined, type ModelOptions } from "./common.js";
import { openModel, pullIfNamed } from "./open-model.js";

/** Which evaluators, as the command line names them. */
export interface KitOptions extends Omit<ModelOptions, "model"> {
  language: string | undefined;
  detector: LanguageDetectorName | undefined;
  candidates: string | undefined;
  safety: string | undefined;
  safetyForm: string | undefined;
  controversial: "unsafe" | "safe" | "neither" | undefined;
  formality: string | undefined;
  sure: number | undefined;
  translate: string | undefined;
  probe: string[];
  probeModel: string | undefined;
  perplexity: string | undefined;
}

/** A form is a few lines, and a guard answers in one of a handful. */
const MAX_FORMS_BYTES = 2 ** 20;
/** A batch for a CPU; more answers wait their turn. */
const ROOM = { maxSequences: 32, contextSize: 16_384 };

/** The models of the evaluators that the command line asks for, loaded once for any number of runs. */
export class EvaluationKit implements AsyncDisposable {
  private readonly loaded = new Map<string, Model>();
  private classifier: Classifier | undefined;
  private probes: Probe[] = [];
  private forms: GuardEvaluatorOptions["forms"];
  private translator: TextTranslator | undefined;

  private constructor(private readonly options: KitOptions) {}

  static async open(options: KitOptions, signal: AbortSignal): Promise<EvaluationKit> {
    checkOptions(options);
    candidatesOf(options);
    const kit = new EvaluationKit(options);
    try {
      const { safety, safetyForm, formality, perplexity, translate } = options;
      if (safetyForm !== undefined) kit.forms = await readForms(safetyForm);
      kit.probes = await Promise.all(options.probe.map(probeApi.load));
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
    const { detector, candidates, controversial } = this.options;
    const { classifier } = this;
    const [guard, perplexity] = [this.options.safety, this.options.perplexity].map((name) => (name === undefined ? undefined : this.loaded.get(name)!));
    return [
      await evaluate.language({ wanted: wanted.language, ...defined({ detector }), candidates: candidates === "all" ? "all" : candidatesOf(this.options) }),
      evaluate.fluency(),
      ...(guard ? [await this.inEnglish(await evaluate.guard(guard, { wanted: wanted.safety, forms: this.forms, controversial: controversial === "neither" ? null : controversial }))] : []),
      ...(classifier ? [await this.inEnglish(await evaluate.formality(classifier, { wanted: wanted.formality, ...defined({ sure: this.options.sure }) }))] : []),
      ...await this.probeEvaluators(wanted, this.options.probeModel ?? model, signal),
      ...(perplexity ? [await evaluate.perplexityOfAnswers(perplexity, prompts.question)] : []),
    ];
  }

  private async probeEvaluators(wanted: WantedProperties, name: string | undefined, signal: AbortSignal): Promise<Evaluator[]> {
    if (this.probes.length === 0) return [];
    if (name === undefined) throw new SteeringError("E_BAD_ARGUMENT", "a probe reads activations of the model that it was trained on: name it with --probe-model");
    const model = await this.model(name, signal);
    return this.probes.map((probe) => evaluate.probe(model, probe, wantedSide(probe, wanted)));
  }

  private async model(name: string, signal: AbortSignal): Promise<Model> {
    const loaded = this.loaded.get(name) ?? await openModel({ ...this.options, model: name }, signal, ROOM);
    this.loaded.set(name, loaded);
    return loaded;
  }

  private async inEnglish(evaluator: Evaluator): Promise<Evaluator> {
    return this.translator ? evaluate.translated(evaluator, this.translator, candidatesOf(this.options)) : evaluator;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const model of this.loaded.values()) await model[Symbol.asyncDispose]();
    this.classifier?.dispose();
    this.translator?.dispose();
  }
}

/** ISO 639-3 codes; undefined where none are given, or all are meant. */
function candidatesOf({ candidates }: KitOptions): string[] | undefined {
  return candidates === undefined || candidates === "all" ? undefined : candidates.split(",").map(evaluate.parseLanguage);
}

/** Throws E_BAD_ARGUMENT for an option without the evaluator that it is about. */
function checkOptions({ safety, safetyForm, controversial, formality, translate, sure, probe, probeModel }: KitOptions): void {
  const idle = [
    translate !== undefined && safety === undefined && formality === undefined && "--translate is for --safety and --formality",
    safetyForm !== undefined && safety === undefined && "--safety-form is for --safety",
    controversial !== undefined && safety === undefined && "--controversial is for --safety",
    sure !== undefined && formality === undefined && "--sure is for --formality",
    probeModel !== undefined && probe.length === 0 && "--probe-model is for --probe",
  ].find((message) => message !== false);
  if (idle) throw new SteeringError("E_BAD_ARGUMENT", `${idle}, which is not given`);
}

/** One form of a guard's verdict, or a list of them; the evaluator checks what is in it. */
async function readForms(path: string): Promise<GuardForm[]> {
  const text = await readUtf8(path, "E_BAD_ARGUMENT", MAX_FORMS_BYTES);
  return [parseJson(text, path, "E_BAD_ARGUMENT") as GuardForm | GuardForm[]].flat();
}

async function openNamedTranslator(name: string, options: KitOptions, signal: AbortSignal): Promise<TextTranslator | undefined> {
  await pullIfNamed(name, options, signal);
  if (name === "none" || /^nllb(:|$)/.test(name)) return evaluate.openTranslator(name);
  return evaluate.ggufTranslator(name, defined({ threads: options.threads, gpuLayers: options.gpuLayers, signal }));
}

async function openClassifier(name: string, options: KitOptions, signal: AbortSignal): Promise<Classifier> {
  await pullIfNamed(name, options, signal);
  return loadClassifier(name, defined({ threads: options.threads, gpuLayers: options.gpuLayers, signal }));
}
