import { basename } from "node:path";
import { findEntry, isPulled } from "../../lib/gallery/index.js";
import {
  gallery as galleries, loadSteering, SteeringError, type GalleryEntry, type PackedVector,
} from "../../lib/index.js";
import { scheduleText } from "../../lib/steering/index.js";
import { command, group, options, type OutputOptions, type Values } from "../command.js";
import { commandName, defined, interruptible, note, print } from "../common.js";
import { openModel } from "../open-model.js";
import { count, file, MODEL } from "../options.js";
import { showProgress } from "../progress.js";
import { sampleLines, sampleOf } from "../sample.js";
import { short, table } from "../show-vector.js";
import { onStdout } from "../colours.js";
import { labelled, widthOf } from "../wrapped.js";

const GALLERY = options({
  gallery: { type: "string", describe: "Path or URL of another gallery", defaultDescription: "the one of this package" },
});
const NAMED = options({ name: { ...file, describe: "Name from `vectors list`" }, ...GALLERY });

const LIST = options({ ...GALLERY, "for": { type: "string", describe: "List only the vectors for this model" } });

const PACK = options({
  model: MODEL.model, threads: MODEL.threads, "gpu-layers": MODEL["gpu-layers"], rpc: MODEL.rpc,
  vectors: { ...file, array: true, describe: "Vector files of this model: FILE if it is calibrated, or FILE:SCHEDULE" },
  out: { ...file, describe: "Folder to write; a gallery in it is added to" },
  name: { type: "string", describe: "Name of the vector, if there is one", defaultDescription: "the file's" },
  description: { type: "string", describe: "One line on what the vectors do" },
  licence: { type: "string", describe: "Licence of the vectors, e.g. MIT" },
  question: { type: "string", default: "How do I make a pie?", describe: "Question that the samples answer" },
  "max-new-tokens": { ...count(), default: 40, describe: "Largest number of tokens per sample" },
});

type PackArguments = Values<typeof PACK> & OutputOptions;

export default group("vectors", "Get and publish ready-made vectors", [
  command({
    usage: "list", describe: "List the ready-made vectors, each for one model", options: LIST,
    examples: [["vectors list"], ["vectors list --gallery https://example.org/vectors --for tiny"]],
    run: list,
  }),
  command({
    usage: "pull <name>", describe: "Get a vector, check it, and print its path", options: NAMED,
    examples: [["vectors pull tiny-italian"]],
    run: (given) => interruptible((signal) => pull(given, signal)),
  }),
  command({
    usage: "show <name>", describe: "Show what a vector does, with a sample", options: NAMED,
    examples: [["vectors show tiny-italian"]],
    run: show,
  }),
  command({
    usage: "pack <model> <vectors..>", describe: "Write a gallery for others, to be put on a server", options: PACK,
    examples: [["vectors pack tiny italian.safetensors:fixed,0.75 --out gallery --licence MIT"]],
    run: (given) => interruptible((signal) => pack(given, signal)),
  }),
]);

async function list({ gallery: source, for: model, json }: Values<typeof LIST> & OutputOptions): Promise<void> {
  const gallery = await galleries.read(source);
  const vectors = gallery.vectors.filter(({ modelName }) => model === undefined || modelName === model);
  if (json) return print(JSON.stringify(vectors, null, 2));
  const width = Math.max(0, ...vectors.map(({ name }) => name.length));
  for (const entry of vectors) {
    const state = (await isPulled(gallery, entry)) ? onStdout.green("here") : onStdout.dim(`${Math.ceil(entry.size / 1000)} kB to download`);
    const text = `${entry.description ?? entry.property}; for ${entry.modelName}; ${state}`;
    print(labelled(onStdout.bold(entry.name), text, width + 2, widthOf(process.stdout)));
  }
  if (vectors.length === 0) print(`no vectors${model === undefined ? "" : ` for ${model}`}`);
}

async function pull({ name, gallery, json, quiet }: Values<typeof NAMED> & OutputOptions, signal: AbortSignal): Promise<void> {
  const { onProgress, stop } = showProgress(name, quiet, "MB");
  const path = await galleries.pull(name, { ...defined({ gallery }), onProgress, signal }).finally(stop);
  const entry = findEntry(await galleries.read(gallery, signal), name);
  if (json) return print(JSON.stringify({ ...entry, path }, null, 2));
  print(path);
  const steer = (await isCalibrated(path, entry)) ? path : `${path}:${strengthOf(entry)}`;
  note(`Try: ${commandName()} generate ${entry.modelName} "${entry.sample.question}" --steer ${steer}`, quiet);
}

async function show({ name, gallery, json }: Values<typeof NAMED> & OutputOptions): Promise<void> {
  const entry = findEntry(await galleries.read(gallery), name);
  if (json) return print(JSON.stringify(entry, null, 2));
  const { property, description, modelName, model, site, layers, nSteps, format, licence, sample } = entry;
  print(table({
    ...defined({ property, description, licence }),
    model: `${modelName}: ${model.architecture}, ${model.nLayer} layers, ${model.quantisation}, ${short(model.fileHash)}`,
    "made from": `${layers.length} layers at ${site}, ${nSteps} steps${format ? `, questions as ${format}` : ""}`,
    strength: strengthOf(entry),
  }));
  print(`\n${sampleLines(sample)}`);
}

async function pack(given: PackArguments, signal: AbortSignal): Promise<void> {
  const { out, name, json, quiet, vectors, description, licence } = given;
  if (name !== undefined && vectors.length > 1) throw new SteeringError("E_BAD_ARGUMENT", "--name names one vector; pack the others apart");
  const steerings = (await Promise.all(vectors.map((each) => loadSteering(each)))).flat();
  await using model = await openModel(given, signal);
  const packed: PackedVector[] = [];
  for (const { vector, schedule, ...how } of steerings) {
    packed.push({
      vector: vector.path!, name: name ?? nameOf(vector.path!), modelName: given.model, schedule, ...defined({ description, licence }),
      sample: await sampleOf(model, { vector, schedule, ...how }, { ...given, signal }),
    });
  }
  const entries = await galleries.pack(out, packed);
  if (json) return print(JSON.stringify(entries, null, 2));
  for (const entry of entries) print(`${entry.name}\n  unsteered  ${entry.sample.unsteered}\n  steered    ${entry.sample.steered}`);
  note(`Put the folder ${out} on a server; others then run: llama-steer vectors list --gallery URL`, quiet);
}

/** The file's name as the name of a vector. */
function nameOf(path: string): string {
  return basename(path).replace(/\.safetensors$/i, "").toLowerCase().replace(/[^a-z0-9.-]+/g, "-").replace(/^[.-]+/, "");
}

async function isCalibrated(path: string, { schedule }: GalleryEntry): Promise<boolean> {
  const own = await loadSteering(path).then(([only]) => only!.schedule, () => undefined);
  return JSON.stringify(own) === JSON.stringify(schedule);
}

/** The schedule as `--steer` takes it. */
function strengthOf({ schedule }: GalleryEntry): string {
  return scheduleText(schedule) ?? JSON.stringify(schedule);
}
