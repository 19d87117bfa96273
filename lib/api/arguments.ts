// What public functions take, as schemas: they say what is a value of a type, not whether it makes sense, which the functions
// themselves know. A list is refused at its first bad item.
import { z } from "zod";
import { assertDataset } from "../dataset/index.js";
import type { GuardEvaluatorOptions } from "../evaluate/guard-evaluator.js";
import { LANGUAGE_DETECTORS } from "../evaluate/language.js";
import type { ChatTemplate } from "../prompt/index.js";
import type { GenerateOptions } from "../generate/index.js";
import { fingerprintSchema } from "../vector/index.js";
import { listOf } from "../formats/bounded-list.js";
import type { ChatOptions, TurnOptions } from "../model/index.js";
import { evaluationSchema, recordSchema, runSchema } from "../results/index.js";
import type { LoadModelOptions, LoadTranslatorOptions } from "../engine/index.js";
import { HOOK_SITES } from "../vector/index.js";
import type { ImportOptions } from "../vector/interchange.js";

/** A value that passes a test. */
function a<T>(what: string, is: (value: never) => boolean): z.ZodType<T> {
  return z.custom<T>((value) => is(value as never), `expected ${what}`);
}
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const isFunction = (value: unknown): boolean => typeof value === "function";
/** Arrays of other realms, such as jest's, are arrays too. */
const isFloats = (value: unknown): boolean => Object.prototype.toString.call(value) === "[object Float32Array]";
const has = (value: unknown, ...methods: string[]): boolean => isObject(value) && methods.every((method) => isFunction(value[method]));

export const anything = z.any();
export const text = z.string();
export const flag = z.boolean();
export const number = a<number>("a number", (value: unknown) => typeof value === "number" && !Number.isNaN(value));
export const whole = a<number>("a whole number", (value: unknown) => Number.isSafeInteger(value));
export const callback = a<never>("a function", isFunction);
export const signal = a<AbortSignal>("an AbortSignal", (value: unknown) => isObject(value) && typeof value["aborted"] === "boolean" && has(value, "addEventListener"));
export const bytes = a<Uint8Array>("bytes (Uint8Array)", (value: unknown) => Object.prototype.toString.call(value) === "[object Uint8Array]");
export const anObject = a<object>("an object", isObject);
export const floats = a<Float32Array>("numbers (Float32Array, Float64Array or a list)", (value: unknown) => /Float(32|64)Array/.test(Object.prototype.toString.call(value)) || (Array.isArray(value) && value.every((each) => typeof each === "number")));
export const site = z.enum(HOOK_SITES);

/** Bytes of one name, and characters of a path, that file systems take. */
const [MAX_NAME, MAX_PATH] = [255, 4096];
/** A path, or a name that may become part of one. */
export const path = z.string().min(1, "expected a path that is not empty")
  .refine((value) => !value.includes("\0"), "a path with a NUL character names no file")
  .refine((value) => value.length <= MAX_PATH && value.split(/[\\/]/).every((name) => name.length <= MAX_NAME && Buffer.byteLength(name) <= MAX_NAME), `a path of more than ${MAX_PATH} characters, or a name in it of more than ${MAX_NAME} bytes, names no file`);
/** A text that files or models may be named in. */
export const name = z.string().refine((value) => !value.includes("\0") && value.length <= MAX_PATH, `expected at most ${MAX_PATH} characters, without NUL`);

/** Options, all of which may be left out. */
export function options(shape: Record<string, z.ZodType> = {}): z.ZodType {
  return required(Object.fromEntries(Object.entries(shape).map(([key, schema]) => [key, schema.optional()]))).optional();
}
/** The same for a type: all its keys and no others, so that an option that is added or renamed there does not compile here. */
export function optionsOf<T extends object>(shape: Record<keyof T, z.ZodType>): z.ZodType {
  return options(shape);
}
/** An object of which these are looked at. */
export function required(shape: Record<string, z.ZodType>): z.ZodType {
  return z.looseObject(shape);
}
export function list(item: z.ZodType, least = 0): z.ZodType {
  return listOf(item, Infinity, least);
}

export const tokens = a<number[]>("token ids: a list of whole numbers", (value: unknown) => Array.isArray(value) && value.every((each) => Number.isSafeInteger(each)));
export const prompt = z.union([text, tokens], "expected a text, or its tokens");
export const indices = z.union([z.literal("all"), tokens], 'expected "all", or a list of whole numbers');
export const stops = { signal, onProgress: callback };

/** Structural: a class that extends ours is a model, too. */
export const model = a<never>("a model, as loadModel gives", (value: unknown) => has(value, "tokenise", "fingerprint") && isObject((value as { info?: unknown }).info));
export const tokeniser = a<never>("a model, as loadModel gives", (value: unknown) => has(value, "tokenise") && isObject((value as { info?: unknown }).info));
export const classifier = a<never>("a classifier, as loadClassifier gives", (value: unknown) => has(value, "classify", "fingerprint") && Array.isArray((value as { labels?: unknown }).labels));
export const translator = a<never>("a translator: { name, translate, dispose }", (value: unknown) => has(value, "translate", "dispose"));
export const evaluator = required({ name: text, property: text.optional(), wanted: text.nullable(), config: anObject, versions: anObject, batchSize: number, evaluate: callback });

export const dataset = a<never>("a dataset, { name, instruction, rows: [{ input, output }] }; loadDataset(name) reads one", (value: unknown) => {
  try {
    assertDataset(value, "");
    return true;
  } catch {
    return false;
  }
});
const row = required({ input: text, output: text });
export const group = required({ demonstrations: list(row), query: row });
export const messages = list(required({ role: text, content: text }));

const named = required({ name: text, hash: text });
export { fingerprintSchema as fingerprint };
const provenance = required({ property: text, model: fingerprintSchema, origin: z.union([required({ positive: named, negative: named }), required({ kind: z.enum(["derived", "imported"]) })], "expected where it comes from") });
/** A vector whose parts fit each other, with at least one direction. */
export const vector = required({ site, layers: tokens, nSteps: whole, width: whole, data: a("Float32Array", isFloats), provenance })
  .refine((value) => fits(value as { layers: number[]; nSteps: number; width: number; data: Float32Array }), "its data are not layers · nSteps · width numbers");
const fits = ({ layers, nSteps, width, data }: { layers: number[]; nSteps: number; width: number; data: Float32Array }): boolean =>
  layers.length >= 1 && nSteps >= 1 && width >= 1 && layers.every((layer) => layer >= 0) && data.length === layers.length * nSteps * width;
export const probe = required({ site, layer: whole, bias: number, weights: a("Float32Array", isFloats), provenance: required({ property: text, positive: named, negative: named, model: fingerprintSchema }) });
const selection = { layers: indices.optional(), heads: indices.optional() };
export const select = options(selection);

/** `steer` itself tells texts and other things from vectors (E_BAD_SPEC); here is what is in them. */
const steering = anything.superRefine((value: unknown, context) => {
  if (!isObject(value)) return;
  const parsed = isObject(value["vector"]) ? required({ vector, ...selection }).safeParse(value) : isObject(value["provenance"]) ? vector.safeParse(value) : undefined;
  if (parsed?.success === false) context.addIssue({ code: "custom", message: parsed.error.issues[0]!.message, path: parsed.error.issues[0]!.path });
});
/** One of them; what it is, it says itself. */
export const oneSteering = steering.refine((value) => value !== undefined && value !== null, "expected a vector and its schedule");
export const steer = anything.superRefine((value: unknown, context) => {
  const parsed = Array.isArray(value) ? list(steering).safeParse(value) : steering.safeParse(value);
  if (!parsed.success) context.addIssue({ code: "custom", message: parsed.error.issues[0]!.message, path: parsed.error.issues[0]!.path });
});
const scored = { steer: steer, allowMismatch: flag, signal };
export const scoring = options(scored);
const generating = { ...scored, maxNewTokens: number, sampling: anObject, stop: list(text), logProbabilities: flag, monitor: list(probe) };
export const generation = optionsOf<GenerateOptions>(generating);
const templateVariables = a<object>("an object of variables", (value: unknown) => isObject(value) && !Array.isArray(value));
export const turn = optionsOf<TurnOptions>({ ...generating, templateVariables });
export const chat = optionsOf<ChatOptions>({ ...generating, templateVariables, messages });
export const template = optionsOf<ChatTemplate>({ templateVariables, mayCut: flag });
const reading = required({ alpha: number });
export const generated = required({ tokens: list(required({ readings: list(reading) })), endReadings: list(reading).nullish() });

export const run = runSchema;
export const records = list(recordSchema);
export const evaluations = list(evaluationSchema);
/** For what is called once per answer: the lists are not walked through. */
export const evaluationHead = required({ header: required({ evaluator: text }), rows: a("a list of rows", Array.isArray) });
export const results = required({ run, records, evaluations });
const ropeScaling = required({ kind: text, factor: number, originalContext: number.optional() });
const loaded = {
  backend: text, gpuLayers: z.union([number, z.literal("all")], 'expected a number, or "all"'), mmap: flag, threads: number, flashAttention: flag, kvType: text, contextSize: number,
  maxSequences: number, maxGenerations: number, vet: flag, logger: callback, signal, steeringPath: text, ropeScaling,
};
export const loading = optionsOf<LoadModelOptions>(loaded);
export const loadingTranslator = optionsOf<LoadTranslatorOptions>({
  gpuLayers: loaded.gpuLayers, mmap: flag, threads: number, vet: flag, kvType: text, signal, prefix: callback,
});
const forms = list(anObject);
export const guardForms = forms.optional();
export const guarding = optionsOf<GuardEvaluatorOptions>({ wanted: text, forms, controversial: z.enum(["safe", "unsafe"]).nullable() });


export const count = a<number>("a whole number from 0, at most 100 million", (value: number) => Number.isSafeInteger(value) && value >= 0 && value <= 1e8);
export const asyncList = a<never>("activations, as capture.activations gives", (value: unknown) => isObject(value) && isFunction(value[Symbol.asyncIterator as never]));
export const capturing = required({ site, layers: tokens.optional(), maxNewTokens: number, signal: signal.optional(), onProgress: callback.optional() });
export const capturingTexts = required({ site, layers: tokens.optional(), pooling: text.optional(), maxSteps: number.optional(), signal: signal.optional(), onProgress: callback.optional() });
/** What can be written as JSON: it has no cycle and no BigInt. */
const isWritable = (value: unknown): boolean => {
  try {
    return JSON.stringify(value) !== undefined;
  } catch {
    return false;
  }
};
export const comparison = a<never>("an object that JSON can hold", (value: unknown) => isObject(value) && isWritable(value));
export const writtenProbe = probe.refine((value) => isWritable({ ...(value as object), weights: null }), "expected a probe, as probe.train gives; JSON cannot hold this one");
/** Its name becomes that of a file. */
export const namedDataset = dataset.refine((value) => path.safeParse((value as { name: string }).name).success, "expected a dataset whose name can name a file");
const source = z.union([required({ kind: z.literal("package"), folder: path }), required({ kind: z.enum(["hub", "wheels"]) })], "expected a source, of the hub, of wheels or of the package");
export const pullable = required({ name: text, file: path, sources: list(source, 1) });
export const pulling = options({ force: flag, stallMs: number, onNotice: callback, ...stops });
export const resolving = options({ pull: anything, signal });
export const environment = z.record(text, text.optional(), "expected an environment, such as process.env").optional();
export const format = text.optional();
export const tensorFormat = z.enum(["npy", "safetensors"]);
export const sides = z.enum(["positive", "negative"]);
export const textOrBytes = z.union([text, bytes], "expected a text or bytes");
export const gpu = z.union([text, z.literal(false)], "expected a back end, or false");
export const detector = z.enum(LANGUAGE_DETECTORS);
export const candidates = z.union([z.literal("all"), list(text)], 'expected "all", or a list of languages');
export const madeFor = required({ provenance: required({ model: fingerprintSchema, property: text }) });
export const wanted = required({ language: text.optional(), safety: text.optional(), formality: text.optional() });
export const judged = list(required({ question: text, text }));
export const madeOfTwo = required({ provenance: required({ positive: named, negative: named }) });
export const aim = required({ kind: z.enum(["single", "compose"]), datasets: z.record(text, named), vectors: list(required({ property: text }), 1) });
export const importing = required({
  name: path, model: fingerprintSchema, dHead: whole.optional(), property: text.optional(), onNotice: callback.optional(),
} satisfies Record<keyof ImportOptions, z.ZodType>);
export const training = required({
  positive: dataset, negative: dataset, site: site.optional(), layers: tokens.optional(), folds: number.optional(), lambdas: list(number).optional(),
  evalPositive: dataset.optional(), evalNegative: dataset.optional(), seed: number.optional(), signal: signal.optional(), onProgress: callback.optional(),
});
/** Which datasets they are, `extract` says itself (E_BAD_DATASET). */
export const extracting = required({
  iclExamples: number.optional(), support: number.optional(), maxNewTokens: number.optional(), seed: number.optional(), supportIndices: tokens.optional(), site: site.optional(),
  layers: z.union([tokens, number, anObject, text]).optional(), promptFormat: text.optional(), method: text.optional(), signal: signal.optional(), onProgress: callback.optional(),
}).refine((value) => {
  const { method = "icl", layers } = value as { method?: string; layers?: unknown };
  return method !== "icl" || layers === undefined || Array.isArray(layers);
}, { path: ["layers"], message: "expected a list of whole numbers" });
export const calibrating = required({
  vector, questions: dataset, evaluators: list(evaluator), wanted: number.optional(), kind: text.optional(), candidates: list(number).optional(), n: number.optional(), iclExamples: number.optional(),
  maxNewTokens: number.optional(), signal: signal.optional(), onProgress: callback.optional(),
});
export const comparing = required({ maxNewTokens: number, signal: signal.optional(), onAnswer: callback.optional() });
export const answers = list(required({ setting: text, tokens: list(anything), seconds: number, detected: required({ language: text }) }));
export const reporting = required({ out: path, title: text.optional(), reference: text.optional(), samples: number.optional(), signal: signal.optional(), onProgress: callback.optional() });
const shard = required({ index: whole, count: whole }).nullable().optional();
const place = {
  out: path, modelName: text.optional(), datasets: path.optional(), parallel: number.optional(), shard, signal: signal.optional(), onProgress: callback.optional(), onExtraction: callback.optional(), onNotice: callback.optional(),
};
export const placing = required({ ...place, vector: path.optional(), skipEval: flag.optional() });
export const planning = required({ ...place, runs: list(anObject).optional(), load: callback, onRun: callback.optional(), onResults: callback.optional() });
export const plan = required({ name: text, folder: path, models: list(text), datasets: path.optional(), seeds: list(number), defaults: anObject, single: list(required({ positive: text, negative: text })), compose: list(required({ vectors: list(text), source: text, composed: text })) });
