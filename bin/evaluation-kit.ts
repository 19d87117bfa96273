import { isDeepStrictEqual } from "node:util";
import { contentDatasets, knowsWords, languageName, RUBRIC_NAMES, wantedSide, type WantedProperties } from "../lib/evaluate/index.js";
import {
  datasets as datasetsApi, evaluate, loadClassifier, loadEmbedder, probe as probeApi, type Classifier, type Embedder, type Evaluator,
  type GoldAgreement, type GuardEvaluatorOptions, type GuardForm,
  type TextTranslator,
} from "../lib/experiments.js";
import { parseJson, readUtf8 } from "../lib/formats/index.js";
import { SteeringError, type FormatOptions, type Model, type Probe } from "../lib/index.js";
import { camelCase, options, type OutputOptions, type Values } from "./command.js";
import { defined, note } from "./common.js";
import { agreementWithGold, goldText, judgeEvaluators, refuseIdle, rubricsWithGold } from "./judge-kit.js";
import { openModel, pullIfNamed } from "./open-model.js";
import { count, MACHINE } from "./options.js";

const BY_NAME = "from the datasets' names";

/** A form is a few lines, and a guard answers in one of a handful. */
const MAX_FORMS_BYTES = 2 ** 20;

/** The evaluators, and which answers they count as successes. */
export const EVALUATORS = options({
  ...MACHINE,
  language: { type: "string", describe: "Language that counts as a success, e.g. it, ita or zh-cn", defaultDescription: BY_NAME },
  detector: { choices: evaluate.LANGUAGE_DETECTORS, describe: "Detector that decides the language", defaultDescription: "eld" },
  candidates: { type: "string", describe: "Languages to choose from, joined by commas, or all", defaultDescription: "en,it,fr,es,zh" },
  safety: { type: "string", describe: "Guard model that judges safety: tiny, llama-guard-3-1b, a GGUF, ..." },
  "safety-form": { type: "string", describe: "JSON file that describes the guard's verdict, if its format is unknown" },
  controversial: {
    choices: ["unsafe", "safe", "neither"], defaultDescription: "unsafe",
    describe: "How to count the guard's verdict \"controversial\"",
  },
  formality: { type: "string", describe: "Classifier with the labels formal and informal: tiny-formality, a GGUF, ..." },
  brevity: { ...count(), describe: "Count answers of at most N words as brief" },
  sure: {
    type: "number", coerce: probability, defaultDescription: "0.8",
    describe: "Lowest probability that decides formality; 0.5 takes the likelier label",
  },
  probe: { type: "string", array: true, describe: "Probe file written by `probe train` (repeatable)" },
  "probe-model": { type: "string", describe: "Model that the probes were trained on", defaultDescription: "the run's model" },
  judge: { type: "string", describe: "Instruct model that is asked about each answer; not the steered one" },
  rubric: {
    type: "string", array: true, defaultDescription: "the wanted properties",
    describe: `Rubric: ${RUBRIC_NAMES.join(", ")}, or a JSON file (repeatable)`,
  },
  against: { type: "string", describe: "Also compare each answer with that of this setting, e.g. no-icl" },
  concept: {
    type: "string", defaultDescription: BY_NAME,
    describe: "What answers should show, for --rubric quality: the end of \"The answer …\"",
  },
  translate: {
    type: "string", defaultDescription: "none",
    describe: "Translator to English for --safety and --formality: a T5 GGUF, nllb or none",
  },
  kept: { type: "string", describe: "Language model by which to tell whether answers keep their content" },
  "kept-layer": { ...count(0), describe: "Layer of it to read", defaultDescription: "the best on labelled answers" },
  embedder: { type: "string", describe: "The same with an embedding model, e.g. a GGUF of nomic-embed-text" },
  "embedder-prefix": { type: "string", describe: "Text before each answer, if it wants one, e.g. \"clustering: \"" },
  perplexity: { type: "string", describe: "Model that measures the perplexity of the answers" },
  wanted: {
    type: "string", defaultDescription: BY_NAME,
    describe: "Which answers count as successes, e.g. safety=unsafe,formality=formal",
  },
});

export type KitOptions = Values<typeof EVALUATORS> & OutputOptions;

/** Labelled answers per side that a judge is held against before it judges a run. */
const GOLD_ROWS = 8;
/** One batch on a CPU; further answers wait. */
const ROOM = { maxSequences: 32, contextSize: 16_384 };

/** The models of the evaluators on the command line, loaded once for any number of runs. */
export class EvaluationKit implements AsyncDisposable {
  private readonly loaded = new Map<string, Model>();
  private readonly agreements = new Map<string, GoldAgreement>();
  private classifier: Classifier | undefined;
  private embedder: Embedder | undefined;
  /** The evaluator of kept content, once its labelled pairs have been read. */
  private keeping: Evaluator | undefined;
  private probes: Probe[] = [];
  private forms: GuardEvaluatorOptions["forms"];
  private translator: TextTranslator | undefined;

  private constructor(private readonly options: KitOptions) {}

  static async open(options: KitOptions, signal: AbortSignal): Promise<EvaluationKit> {
    checkOptions(options);
    await refuseIdle(options);
    candidatesOf(options);
    const kit = new EvaluationKit(options);
    try {
      const { safety, safetyForm, formality, perplexity, translate } = options;
      if (safetyForm !== undefined) kit.forms = await readForms(safetyForm);
      kit.probes = await Promise.all(options.probe.map(probeApi.load));
      for (const model of [safety, perplexity, options.judge, options.kept]) if (model !== undefined) await kit.model(model, signal);
      if (formality !== undefined) kit.classifier = await openClassifier(formality, options, signal);
      if (options.embedder !== undefined) kit.embedder = await openEmbedder(options.embedder, options, signal);
      if (translate !== undefined) kit.translator = await openNamedTranslator(translate, options, signal);
      return kit;
    } catch (error) {
      await kit[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * The evaluators of `wanted`. Probes read the activations of `model`; `how`: how --perplexity asks the questions. Throws E_BAD_GGUF
   * for a model of the wrong kind.
   */
  async evaluators(
    wanted: WantedProperties, model: string | undefined, signal: AbortSignal, how: FormatOptions = { format: "qa" },
  ): Promise<Evaluator[]> {
    const { brevity, detector, candidates, controversial } = this.options;
    const { classifier } = this;
    const loaded = (name: string | undefined): Model | undefined => (name === undefined ? undefined : this.loaded.get(name)!);
    const [guard, perplexity, judge] = [this.options.safety, this.options.perplexity, this.options.judge].map(loaded);
    const languages = candidates === "all" ? "all" : candidatesOf(this.options);
    const guarding = { wanted: wanted.safety, forms: this.forms, controversial: controversial === "neither" ? null : controversial };
    const classifying = { wanted: wanted.formality, ...defined({ sure: this.options.sure }) };
    return [
      await evaluate.language({ wanted: wanted.language, ...defined({ detector }), candidates: languages }),
      evaluate.fluency(),
      ...(brevity === undefined ? [] : [evaluate.brevity(brevity)]),
      ...await this.switching(wanted),
      ...(guard ? [await this.inEnglish(await evaluate.guard(guard, guarding))] : []),
      ...(classifier ? [await this.inEnglish(await evaluate.formality(classifier, classifying))] : []),
      ...await this.probeEvaluators(wanted, this.options.probeModel ?? model, signal),
      ...(perplexity ? [await evaluate.perplexityOfAnswers(perplexity, how)] : []),
      ...await this.keptEvaluators(signal),
      ...(judge ? await judgeEvaluators(judge, this.options, wanted, await this.gold(wanted, signal)) : []),
    ];
  }

  /** How far the judge agrees with labelled answers, by evaluator; for the rubrics of `wanted`. Measures and tells each once. */
  async gold(wanted: WantedProperties, signal: AbortSignal): Promise<Record<string, GoldAgreement>> {
    const { judge } = this.options;
    if (judge === undefined) return {};
    const found: Record<string, GoldAgreement> = {};
    for (const rubric of await rubricsWithGold(this.options, wanted)) {
      const key = JSON.stringify(rubric);
      const name = `judge-${rubric.name}`;
      const measure = () => agreementWithGold(this.loaded.get(judge)!, judge, rubric, { n: GOLD_ROWS, signal });
      const known = this.agreements.get(key) ?? (await measure())!;
      if (!this.agreements.has(key)) note(`${name}: ${goldText(known)}`, this.options.quiet);
      this.agreements.set(key, known);
      found[name] = known;
    }
    return found;
  }

  /** Whether the judge is this model. */
  async isJudge(fingerprint: object): Promise<boolean> {
    const judge = this.options.judge === undefined ? undefined : this.loaded.get(this.options.judge)!;
    return judge !== undefined && isDeepStrictEqual({ ...await judge.fingerprint() }, { ...fingerprint });
  }

  private async switching({ language }: WantedProperties): Promise<Evaluator[]> {
    if (language === undefined) return [];
    if (await knowsWords(language)) return [await evaluate.codeSwitching({ wanted: language, candidates: candidatesOf(this.options) })];
    note(`note: no code-switching, because the words of ${languageName(language)} are not known`, this.options.quiet);
    return [];
  }

  private async keptEvaluators(signal: AbortSignal): Promise<Evaluator[]> {
    const { kept, keptLayer: layer, embedderPrefix: prefix } = this.options;
    const source = this.embedder ?? (kept === undefined ? undefined : this.loaded.get(kept)!);
    if (!source) return [];
    if (!this.keeping) {
      const datasets = contentDatasets(datasetsApi.folder(kept), kept ?? "");
      const found = await evaluate.kept(source, { signal, datasets, ...defined({ layer, prefix }) });
      const { auc, layer: read } = found.gold;
      const where = read === undefined ? "" : `, by layer ${read}`;
      note(`kept: tells answers to the same question from others with an AUC of ${auc.toFixed(3)}${where}`, this.options.quiet);
      this.keeping = found;
    }
    return [this.keeping];
  }

  private async probeEvaluators(wanted: WantedProperties, name: string | undefined, signal: AbortSignal): Promise<Evaluator[]> {
    if (this.probes.length === 0) return [];
    if (name === undefined) {
      throw new SteeringError("E_BAD_ARGUMENT", "--probe needs the model that the probe was trained on; name it with --probe-model");
    }
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
    this.embedder?.dispose();
    this.translator?.dispose();
  }
}

/** ISO 639-3 codes; undefined for the default languages, and for all. */
function candidatesOf({ candidates }: KitOptions): string[] | undefined {
  return candidates === undefined || candidates === "all" ? undefined : candidates.split(",").map(evaluate.parseLanguage);
}

/** Options that refine an evaluator, and the evaluators that they refine. */
const REFINED = {
  translate: ["safety", "formality"], "safety-form": ["safety"], controversial: ["safety"], sure: ["formality"], "probe-model": ["probe"],
  rubric: ["judge"], against: ["judge"], concept: ["judge"], "kept-layer": ["kept"], "embedder-prefix": ["embedder"],
} as const satisfies Record<string, ReadonlyArray<keyof typeof EVALUATORS>>;

/** Throws E_BAD_ARGUMENT for an option whose evaluator is not given. */
function checkOptions(given: KitOptions): void {
  if (given.kept !== undefined && given.embedder !== undefined) {
    throw new SteeringError("E_BAD_ARGUMENT", "--kept and --embedder measure the same with different models; give one of them");
  }
  const isGiven = (name: string): boolean => {
    const value = (given as Record<string, unknown>)[camelCase(name)];
    return Array.isArray(value) ? value.length > 0 : value !== undefined;
  };
  for (const [name, evaluators] of Object.entries(REFINED)) {
    if (!isGiven(name) || evaluators.some(isGiven)) continue;
    const needed = evaluators.map((evaluator) => `--${evaluator}`).join(" or ");
    throw new SteeringError("E_BAD_ARGUMENT", `--${name} has no effect without ${needed}; add ${needed}, or leave --${name} out`);
  }
}

function probability(value: number, name: string): number {
  if (value >= 0.5 && value < 1) return value;
  throw new SteeringError("E_BAD_ARGUMENT", `--${name} must be a probability of at least 0.5 and below 1`);
}

const VALUES = { safety: ["safe", "unsafe"], formality: ["formal", "informal"] } as const;

/** What the options say is wanted. Throws E_BAD_ARGUMENT. */
export function wantedBy({ language, wanted = "" }: KitOptions): WantedProperties {
  const pairs = wanted.split(",").filter((pair) => pair !== "").map((pair) => {
    const [name, value = ""] = pair.split("=") as [string, string | undefined];
    const values: readonly string[] = Object.hasOwn(VALUES, name) ? VALUES[name as keyof typeof VALUES] : [];
    if (values.includes(value)) return [name, value];
    const known = Object.entries(VALUES).flatMap(([property, each]) => each.map((word) => `${property}=${word}`));
    throw new SteeringError("E_BAD_ARGUMENT", `--wanted ${pair} is unknown; expected ${known.join(", ")}`);
  });
  const properties = Object.fromEntries(pairs) as WantedProperties;
  return language === undefined ? properties : { ...properties, language: evaluate.parseLanguage(language) };
}

/** Reads one form of a guard's verdict, or a list of forms; the evaluator checks their content. */
async function readForms(path: string): Promise<GuardForm[]> {
  const text = await readUtf8(path, "E_BAD_ARGUMENT", MAX_FORMS_BYTES);
  return [parseJson(text, path, "E_BAD_ARGUMENT") as GuardForm | GuardForm[]].flat();
}

async function openNamedTranslator(name: string, options: KitOptions, signal: AbortSignal): Promise<TextTranslator | undefined> {
  await pullIfNamed(name, options, signal);
  if (name === "none" || /^nllb(:|$)/.test(name)) return evaluate.openTranslator(name);
  return evaluate.ggufTranslator(name, defined({ threads: options.threads, gpuLayers: options.gpuLayers, signal }));
}

async function openEmbedder(name: string, options: KitOptions, signal: AbortSignal): Promise<Embedder> {
  await pullIfNamed(name, options, signal);
  return loadEmbedder(name, defined({ threads: options.threads, gpuLayers: options.gpuLayers, signal }));
}

async function openClassifier(name: string, options: KitOptions, signal: AbortSignal): Promise<Classifier> {
  await pullIfNamed(name, options, signal);
  return loadClassifier(name, defined({ threads: options.threads, gpuLayers: options.gpuLayers, signal }));
}
