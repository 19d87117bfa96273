import { extname } from "node:path";
import { spec, vectors } from "../../lib/experiments.js";
import { writeFileAtomic } from "../../lib/formats/index.js";
import { SteeringError, SteeringVector, type ModelFingerprint } from "../../lib/index.js";
import { readTensorFile } from "../../lib/vector/index.js";
import { command, group, options, type OutputOptions, type Values } from "../command.js";
import { defined, interruptible, note, prepareOutput, print } from "../common.js";
import { openModel } from "../open-model.js";
import { file, MACHINE } from "../options.js";
import { short, showVector } from "../show-vector.js";

/** The part of a vector to write. */
const PARTS = options({
  pool: { type: "boolean", describe: "Replace the steps by their mean: one direction per layer" },
  layers: { type: "string", default: "all", describe: "Layers to keep, counted from 0, e.g. 4-9+12" },
});

const CONVERT = options({
  ...MACHINE,
  in: { ...file, describe: "File to read" },
  out: { ...file, describe: "File to write; its extension is the format" },
  model: { type: "string", describe: "Model of a file that does not say which model it was made for" },
  property: { type: "string", describe: "Name of the behaviour", defaultDescription: "the file's" },
  alpha: { type: "number", default: 1, describe: "Factor of the directions, for a control vector (.gguf)" },
  ...PARTS,
  published: { type: "boolean", describe: "Write .safetensors in the paper's layout [step, layer, head, dHead]" },
  "allow-mismatch": { type: "boolean", describe: "Accept a vector of another model than --model, of the same shape" },
});

const COMBINE = options({
  vectors: { ...file, array: true, describe: "FILE or FILE:FACTOR" },
  out: { ...file, describe: "Vector file to write" },
  "project-out": { type: "string", describe: "Vector file whose direction is removed from the result" },
  normalise: { type: "boolean", describe: "Scale every direction to norm 1, as the last step" },
  ...PARTS,
  heads: { type: "string", default: "all", describe: "Heads to keep, counted from 0; only at the site head_out" },
});

const DIFF = options({ a: { ...file, describe: "Vector file" }, b: { ...file, describe: "Vector file" } });

type ConvertArguments = Values<typeof CONVERT> & OutputOptions;
type CombineArguments = Values<typeof COMBINE> & OutputOptions;

export default group("vector", "Convert, inspect, combine and compare vector files", [
  command({
    usage: "convert <in> <out>",
    describe: "Convert a vector file to or from other programs",
    options: CONVERT,
    examples: [
      ["vector convert happy.gguf happy.safetensors --model gemma3-270m", "from llama.cpp or repeng"],
      ["vector convert happy.safetensors happy.gguf --alpha 1.5", "for llama-cli --control-vector"],
      ["vector convert ITA-ENG.npy italian.safetensors --model gemma3-270m", "a tensor of the paper's code, saved by numpy.save"],
    ],
    epilogue: "Formats: .safetensors (llama-steer, or the paper's layout), .gguf (control vector of llama.cpp and repeng), "
      + ".npy (the paper's layout).",
    run: (given) => interruptible((signal) => convert(given, signal)),
  }),
  command({
    usage: "inspect <file>", describe: "Show what a vector file contains", options: { file: { ...file, describe: "Vector file" } },
    run: async ({ file, json }) => showVector(await SteeringVector.load(file), json),
  }),
  command({
    usage: "combine <vectors..>",
    describe: "Add vectors, each multiplied by a factor",
    options: COMBINE,
    examples: [
      ["vector combine italian.safetensors:0.5 french.safetensors:0.5 --out romance.safetensors"],
      ["vector combine italian.safetensors french.safetensors:-1 --out apart.safetensors"],
    ],
    run: combine,
  }),
  command({
    usage: "diff <a> <b>", describe: "Compare two vectors: angles, norms, origin", options: DIFF,
    run: diff,
  }),
]);

async function convert(options: ConvertArguments, signal: AbortSignal): Promise<void> {
  const { out, layers, pool, alpha, published, json, quiet } = options;
  const kind = extname(out);
  const wrong = [
    ![".gguf", ".npy", ".safetensors"].includes(kind)
      && `cannot write ${out}: unknown format; expected a name that ends in .safetensors, .gguf or .npy`,
    alpha !== 1 && kind !== ".gguf"
      && "--alpha has no effect: it is for control vectors (.gguf); scale other vectors with vector combine FILE:FACTOR",
    published && kind !== ".safetensors"
      && "--published has no effect: it is for .safetensors; .npy always has the paper's layout, and .gguf never has it",
  ].find((message) => message !== false);
  if (wrong) throw new SteeringError("E_BAD_ARGUMENT", wrong);
  const kept = spec.parseIndices(layers);
  await prepareOutput(out, [options.in], quiet);
  let vector = await read(options, signal);
  if (kept !== "all") vector = vector.select({ layers: kept });
  if (pool) vector = vector.pooled();
  if (kind === ".gguf") await writeFileAtomic(out, vectors.exportControlVector(vector, alpha));
  else if (kind === ".npy") await writeFileAtomic(out, vectors.exportPublished(vector, "npy"));
  else if (published) await writeFileAtomic(out, vectors.exportPublished(vector, "safetensors"));
  else await vector.save(out);
  const { site, nSteps, width, provenance } = vector;
  if (json) return print(JSON.stringify({ path: out, site, layers: vector.layers, nSteps, width, provenance }, null, 2));
  print(out);
  note(`${vector.property} at ${site}: ${vector.layers.length} layers, ${nSteps} steps, width ${width}`, quiet);
}

const PROMPT_TOO = "repeng and llama.cpp add a control vector to the prompt, too; to do the same, steer with FILE:fixed,1,on=prompt+answer";

/** Reads a vector of ours or of another program; the latter needs `--model`. */
async function read(options: ConvertArguments, signal: AbortSignal): Promise<SteeringVector> {
  const { in: path, property, quiet } = options;
  const kind = extname(path);
  if (kind === ".pt" || kind === ".pth") {
    throw new SteeringError("E_BAD_VECTOR", `refusing to read ${path}: a PyTorch pickle can run any code. `
      + "Save the tensor with safetensors.torch.save_file or numpy.save");
  }
  if (![".safetensors", ".gguf", ".npy"].includes(kind)) {
    throw new SteeringError("E_BAD_ARGUMENT", `cannot read ${path}: unknown format; expected a .safetensors, .gguf or .npy file`);
  }
  const bytes = kind === ".safetensors" ? undefined : await readTensorFile(path, "vector");
  const own = bytes ? undefined : await SteeringVector.load(path).catch((error: SteeringError) => error);
  if (own instanceof SteeringVector) return ofModel(own, options, signal);
  if (own && (options.model === undefined || own.code !== "E_BAD_VECTOR")) throw own;
  const model = await modelOf(options, signal);
  const how = { name: path, ...model, onNotice: (line: string) => note(`note: ${line}`, quiet), ...defined({ property }) };
  if (kind === ".gguf") {
    note(`note: ${PROMPT_TOO}`, quiet);
    return vectors.importControlVector(bytes!, how);
  }
  return vectors.importPublished(bytes ?? await readTensorFile(path, "vector"), how);
}

/** Checks a vector of ours against `--model`, if given, and renames it to `--property`, if given. */
async function ofModel(vector: SteeringVector, options: ConvertArguments, signal: AbortSignal): Promise<SteeringVector> {
  if (options.model !== undefined) vectors.assertMadeFor(vector, (await modelOf(options, signal)).model, options.allowMismatch);
  const { property } = options;
  return property === undefined ? vector : new SteeringVector({ ...vector, provenance: { ...vector.provenance, property } });
}

async function modelOf(options: ConvertArguments, signal: AbortSignal): Promise<{ model: ModelFingerprint; dHead: number }> {
  const { model } = options;
  if (model === undefined) {
    throw new SteeringError("E_BAD_ARGUMENT", `${options.in} does not say which model it was made for; name it with --model MODEL`);
  }
  await using loaded = await openModel({ ...options, model }, signal);
  return { model: await loaded.fingerprint(), dHead: loaded.info.dHead };
}

async function combine(options: CombineArguments): Promise<void> {
  const { vectors: written, out, projectOut, normalise, pool, layers, heads, json, quiet } = options;
  if (extname(out) !== ".safetensors") {
    throw new SteeringError("E_BAD_ARGUMENT", `cannot write ${out}: expected a name that ends in .safetensors `
      + "(vector convert writes other formats)");
  }
  const parts = written.map(parseTerm);
  await prepareOutput(out, parts.map(({ path }) => path), quiet);
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
  if (path === "") throw new SteeringError("E_BAD_ARGUMENT", `"${text}" does not name a vector file; expected FILE or FILE:FACTOR`);
  return { path, factor: Number(factor) };
}

async function diff({ a: first, b: second, json }: Values<typeof DIFF> & OutputOptions): Promise<void> {
  const [a, b] = [await SteeringVector.load(first), await SteeringVector.load(second)];
  const { layers, cosines } = a.cosine(b);
  const mean = (values: ReadonlyArray<number | null>): number | null => {
    const known = values.filter((value) => value !== null);
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
  };
  const [normsA, normsB] = [a.norms(), b.norms()];
  const rows = layers.map((layer, index) => ({
    layer, cosine: mean(cosines[index]!),
    normA: mean(normsA[a.layers.indexOf(layer)]!), normB: mean(normsB[b.layers.indexOf(layer)]!),
  }));
  const isSame = a.hash === b.hash;
  if (json) return print(JSON.stringify({ same: isSame, a: a.provenance, b: b.provenance, layers: rows, cosines }, null, 2));
  for (const [name, { property, layers, nSteps, hash }] of Object.entries({ a, b })) {
    print(`${name}: ${property}, ${layers.length} layers, ${nSteps} steps, ${short(hash)}`);
  }
  if (isSame) return print("The vectors are identical.");
  print("\nlayer  cosine  norm of a  norm of b   (means over the steps)");
  const cell = (value: number | null, width: number): string => (value === null ? "–" : value.toFixed(3)).padStart(width);
  for (const { layer, cosine, normA, normB } of rows) {
    print(`${String(layer).padStart(5)}  ${cell(cosine, 6)}  ${cell(normA, 9)}  ${cell(normB, 9)}`);
  }
}
