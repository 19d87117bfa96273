import { extname } from "node:path";
import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { spec, vectors } from "../../lib/experiments.js";
import { assertWritable, writeFileAtomic } from "../../lib/formats/index.js";
import { SteeringError, SteeringVector, type ModelFingerprint } from "../../lib/index.js";
import { readTensorFile } from "../../lib/vector/index.js";
import { interruptible, machineOptions, note, print, type ModelOptions, type OutputOptions } from "../common.js";
import { openModel } from "../open-model.js";
import { short, showVector } from "../show-vector.js";

interface ConvertArguments extends Omit<ModelOptions, "model"> {
  in: string;
  out: string;
  model: string | undefined;
  property: string | undefined;
  alpha: number;
  pool: boolean;
  layers: string;
  published: boolean;
  allowMismatch: boolean;
}

interface CombineArguments extends OutputOptions {
  vectors: string[];
  out: string;
  projectOut: string | undefined;
  normalise: boolean;
  pool: boolean;
  layers: string;
  heads: string;
}

/** `llama-steer vector convert|inspect|combine|diff` */
export const vectorCommand: CommandModule<object, object> = {
  command: "vector",
  describe: "Convert vector files, show them, combine them, compare them",
  builder: (yargs) => yargs
    .command<ConvertArguments>("convert <in> <out>", "Between our files, control vectors of llama.cpp and repeng (.gguf), and the published layout (.npy, .safetensors)", (sub) => convertOptions(sub), (options) => interruptible((signal) => convert(options, signal)))
    .command<OutputOptions & { file: string }>("inspect <file>", "Show what a vector file holds", (sub) => fileOption(sub), async ({ file, json }) => showVector(await SteeringVector.load(file), json))
    .command<CombineArguments>("combine <vectors..>", "Add vectors, each times its factor", (sub) => combineOptions(sub), (options) => combine(options))
    .command<OutputOptions & { a: string; b: string }>("diff <a> <b>", "Compare two vectors: angles, norms, what they were made of", (sub) => diffOptions(sub), (options) => diff(options))
    .demandCommand(1, "expected one of: convert, inspect, combine, diff"),
  handler: () => undefined,
};

function convertOptions(yargs: Argv<object>): Argv<ConvertArguments> {
  return machineOptions(yargs)
    .positional("in", { type: "string", demandOption: true, describe: "File to read" })
    .positional("out", { type: "string", demandOption: true, describe: "File to write; what it is follows from its name" })
    .option("model", { type: "string", nargs: 1, describe: "Model that a file of another program was made for, which does not say so itself" })
    .option("property", { type: "string", nargs: 1, describe: "Name of the behaviour; default: the file's" })
    .option("alpha", { type: "number", default: 1, describe: "To a control vector: factor of its directions" })
    .option("pool", { type: "boolean", default: false, describe: "One direction per layer: the mean over the steps" })
    .option("layers", { type: "string", nargs: 1, default: "all", describe: "Layers to keep, from 0, e.g. 1-17" })
    .option("published", { type: "boolean", default: false, describe: "To .safetensors: as one tensor [step, layer, head, dHead]" })
    .option("allow-mismatch", { type: "boolean", default: false, describe: "Take a vector of another model of the same shape as --model's" })
    .example("$0 vector convert happy.gguf happy.safetensors --model gemma3-270m", "from llama.cpp or repeng")
    .example("$0 vector convert happy.safetensors happy.gguf --alpha 1.5", "for llama-cli --control-vector")
    .example("$0 vector convert ITA-ENG.npy italian.safetensors --model gemma3-270m", "numpy.save of the paper's tensor") as unknown as Argv<ConvertArguments>;
}

function fileOption(yargs: Argv<object>): Argv<OutputOptions & { file: string }> {
  return yargs.positional("file", { type: "string", demandOption: true }) as unknown as Argv<OutputOptions & { file: string }>;
}

function combineOptions(yargs: Argv<object>): Argv<CombineArguments> {
  return yargs
    .positional("vectors", { type: "string", array: true, demandOption: true, describe: "FILE or FILE:FACTOR" })
    .option("out", { type: "string", nargs: 1, demandOption: true, describe: "Vector file to write" })
    .option("project-out", { type: "string", nargs: 1, describe: "Vector file along whose directions nothing is to remain" })
    .option("normalise", { type: "boolean", default: false, describe: "Every direction at norm 1, at the end" })
    .option("pool", { type: "boolean", default: false, describe: "One direction per layer: the mean over the steps" })
    .option("layers", { type: "string", nargs: 1, default: "all", describe: "Layers to keep, from 0, e.g. 4-9+12" })
    .option("heads", { type: "string", nargs: 1, default: "all", describe: "Heads to keep, from 0, at head_out only" })
    .example("$0 vector combine italian.safetensors:0.5 french.safetensors:0.5 --out romance.safetensors", "")
    .example("$0 vector combine italian.safetensors french.safetensors:-1 --out apart.safetensors", "") as unknown as Argv<CombineArguments>;
}

function diffOptions(yargs: Argv<object>): Argv<OutputOptions & { a: string; b: string }> {
  return yargs.positional("a", { type: "string", demandOption: true }).positional("b", { type: "string", demandOption: true }) as unknown as Argv<OutputOptions & { a: string; b: string }>;
}

async function convert(options: ArgumentsCamelCase<ConvertArguments>, signal: AbortSignal): Promise<void> {
  const { out, layers, pool, alpha, published, json, quiet } = options;
  const kind = extname(out);
  if (![".gguf", ".npy", ".safetensors"].includes(kind)) throw new SteeringError("E_BAD_ARGUMENT", `what is ${out} to be? Its name should end in .safetensors, .gguf or .npy`);
  if (alpha !== 1 && kind !== ".gguf") throw new SteeringError("E_BAD_ARGUMENT", "--alpha belongs to control vectors (.gguf); to scale a vector: vector combine FILE:FACTOR");
  if (published && kind !== ".safetensors") throw new SteeringError("E_BAD_ARGUMENT", "--published says how a .safetensors file is laid out; .npy always has that layout, .gguf never");
  const kept = spec.parseIndices(layers);
  await assertWritable(out, [options.in]);
  let vector = await read(options, signal);
  if (kept !== "all") vector = vector.select({ layers: kept });
  if (pool) vector = vector.pooled();
  if (kind === ".gguf") await writeFileAtomic(out, vectors.exportControlVector(vector, alpha));
  else if (kind === ".npy" || published) await writeFileAtomic(out, vectors.exportPublished(vector, kind === ".npy" ? "npy" : "safetensors"));
  else await vector.save(out);
  if (json) return print(JSON.stringify({ path: out, site: vector.site, layers: vector.layers, nSteps: vector.nSteps, width: vector.width, provenance: vector.provenance }, null, 2));
  print(out);
  note(`${vector.property} at ${vector.site}: ${vector.layers.length} layers, ${vector.nSteps} steps, width ${vector.width}`, quiet);
}

/** A vector of ours, or of another program; those need `--model`. */
async function read(options: ArgumentsCamelCase<ConvertArguments>, signal: AbortSignal): Promise<SteeringVector> {
  const { in: path, property, quiet } = options;
  const kind = extname(path);
  if (kind === ".pt" || kind === ".pth") throw new SteeringError("E_BAD_VECTOR", `${path} is a pickle of PyTorch, which can run anything and is not read: save it with safetensors.torch.save_file, or numpy.save`);
  if (![".safetensors", ".gguf", ".npy"].includes(kind)) {
    throw new SteeringError("E_BAD_ARGUMENT", `${path} is of no kind that is read: .safetensors, .gguf, .npy`);
  }
  const bytes = kind === ".safetensors" ? undefined : await readTensorFile(path, "vector");
  const own = bytes ? undefined : await SteeringVector.load(path).catch((error: SteeringError) => error);
  if (own instanceof SteeringVector) return ofModel(own, options, signal);
  if (own && (options.model === undefined || own.code !== "E_BAD_VECTOR")) throw own;
  const model = await modelOf(options, signal);
  const how = { name: path, ...model, onNotice: (line: string) => note(`note: ${line}`, quiet), ...(property !== undefined && { property }) };
  if (kind === ".gguf") return vectors.importControlVector(bytes!, how);
  return vectors.importPublished(bytes ?? await readTensorFile(path, "vector"), how);
}

/** A vector of ours, under the name that is asked for; of the model that is named, if one is. */
async function ofModel(vector: SteeringVector, options: ArgumentsCamelCase<ConvertArguments>, signal: AbortSignal): Promise<SteeringVector> {
  if (options.model !== undefined) vectors.assertMadeFor(vector, (await modelOf(options, signal)).model, options.allowMismatch);
  return options.property === undefined ? vector : new SteeringVector({ ...vector, provenance: { ...vector.provenance, property: options.property } });
}

async function modelOf(options: ArgumentsCamelCase<ConvertArguments>, signal: AbortSignal): Promise<{ model: ModelFingerprint; dHead: number }> {
  const { model } = options;
  if (model === undefined) throw new SteeringError("E_BAD_ARGUMENT", `${options.in} does not say which model it was made for: --model MODEL`);
  await using loaded = await openModel({ ...options, model }, signal);
  return { model: await loaded.fingerprint(), dHead: loaded.info.dHead };
}

async function combine({ vectors: written, out, projectOut, normalise, pool, layers, heads, json }: ArgumentsCamelCase<CombineArguments>): Promise<void> {
  if (extname(out) !== ".safetensors") throw new SteeringError("E_BAD_ARGUMENT", `${out} would hold a vector file: its name should end in .safetensors (vector convert writes others)`);
  const parts = written.map(parseTerm);
  await assertWritable(out, parts.map(({ path }) => path));
  const weighted = await Promise.all(parts.map(async ({ path, factor }) => ({ vector: await SteeringVector.load(path), factor })));
  const [only] = weighted;
  let sum = weighted.length === 1 && only!.factor === 1 ? only!.vector : SteeringVector.sum(weighted);
  if (projectOut !== undefined) sum = sum.projectOut(await SteeringVector.load(projectOut));
  if (layers !== "all" || heads !== "all") sum = sum.select({ layers: spec.parseIndices(layers), heads: spec.parseIndices(heads) });
  if (pool) sum = sum.pooled();
  if (normalise) sum = sum.normalised();
  await sum.save(out);
  print(json ? JSON.stringify({ path: out, provenance: sum.provenance }, null, 2) : out);
}

/** FILE, or FILE:FACTOR. Throws E_BAD_ARGUMENT. */
function parseTerm(text: string): { path: string; factor: number } {
  const [, path = "", factor = "1"] = /^(.*?)(?::([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?))?$/is.exec(text) ?? [];
  if (path === "") throw new SteeringError("E_BAD_ARGUMENT", `"${text}" names no vector file`);
  return { path, factor: Number(factor) };
}

async function diff({ a: first, b: second, json }: ArgumentsCamelCase<OutputOptions & { a: string; b: string }>): Promise<void> {
  const [a, b] = [await SteeringVector.load(first), await SteeringVector.load(second)];
  const { layers, cosines } = a.cosine(b);
  const mean = (values: ReadonlyArray<number | null>): number | null => {
    const known = values.filter((value) => value !== null);
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
  };
  const [normsA, normsB] = [a.norms(), b.norms()];
  const rows = layers.map((layer, index) => ({
    layer, cosine: mean(cosines[index]!), normA: mean(normsA[a.layers.indexOf(layer)]!), normB: mean(normsB[b.layers.indexOf(layer)]!),
  }));
  const isSame = a.hash === b.hash;
  if (json) return print(JSON.stringify({ same: isSame, a: a.provenance, b: b.provenance, layers: rows, cosines }, null, 2));
  print(`a: ${a.property}, ${a.layers.length} layers, ${a.nSteps} steps, ${short(a.hash)}\nb: ${b.property}, ${b.layers.length} layers, ${b.nSteps} steps, ${short(b.hash)}`);
  if (isSame) return print("They add the same.");
  print("\nlayer  cosine  norm of a  norm of b   (means over the steps)");
  const cell = (value: number | null, width: number): string => (value === null ? "–" : value.toFixed(3)).padStart(width);
  for (const { layer, cosine, normA, normB } of rows) print(`${String(layer).padStart(5)}  ${cell(cosine, 6)}  ${cell(normA, 9)}  ${cell(normB, 9)}`);
}
