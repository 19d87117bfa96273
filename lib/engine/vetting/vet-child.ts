// The process that `tryInChild` starts, with the path of a GGUF and a memory limit. Its main thread watches while a worker tries the file:
// some of llama.cpp's endless loops run on the JavaScript thread, which could then neither exit with its parent nor notice growing memory.
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import type { ErrorCode } from "../../errors.js";
import { addon, type NativeModel } from "../../native/index.js";
import { endWithParent, sendToParent } from "../../parent.js";
import { Batch } from "../batch.js";
import type { VetReport } from "./vet-report.js";

/** The batch size of models' contexts, so that llama.cpp plans graphs of the same size. */
const N_BATCH = 512;
const N_SEQ = 2;
const N_PROMPT = 4;
const WATCH_MS = 50;

const [path, maxBytes] = [process.argv[2]!, Number(process.argv[3])];
if (isMainThread) watch();
else await tryFile();

function watch(): void {
  endWithParent();
  dieFirst();
  const worker = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
  worker.on("message", (report: VetReport) => void sendToParent(report).then(() => worker.postMessage("sent")));
  worker.on("exit", end);
  checkMemory();
  setInterval(checkMemory, WATCH_MS);
}

function checkMemory(): void {
  if (process.memoryUsage.rss() < maxBytes) return;
  const message = `llama.cpp needs more than ${(maxBytes / 1e9).toFixed(1)} GB of memory for ${path}: the file is damaged`;
  void sendToParent({ stage: "refused", code: "E_BAD_GGUF", message } satisfies VetReport).then(end);
}

/** Ends this process at once: exit() would wait for a worker that computes. */
function end(): void {
  process.kill(process.pid, "SIGKILL");
}

/** If memory runs out, Linux should kill this process rather than its parent. */
function dieFirst(): void {
  try {
    writeFileSync("/proc/self/oom_score_adj", "1000");
  } catch {
    // Other systems have no such file.
  }
}

/** Does everything with the model that a program might do and that depends on the file. */
async function tryFile(): Promise<void> {
  try {
    const native = addon();
    await report({ stage: "started" });
    const model = await native.loadModel(path, { nGpuLayers: 0, useMmap: true });
    await report({ stage: "loaded" });
    const { nVocab } = model.info();
    unlessRefused(() => model.tokenise(everyKindOfCharacter(), true, true));
    unlessRefused(() => model.detokenise(Int32Array.from({ length: nVocab }, (_, token) => token)));
    const failure = await compute(model).then(() => undefined, (error: Error) => error.message);
    model.dispose();
    await report({ stage: "computed", ...(failure === undefined ? {} : { failure }) });
  } catch (error) {
    const { code, message } = error as { code: ErrorCode; message: string };
    await report({ stage: "refused", code, message });
  }
  parentPort?.close();
}

/** Ignores errors, since the program would get the same error as a result. */
function unlessRefused(attempt: () => unknown): void {
  try {
    attempt();
  } catch {
    // All that matters is that the process survives.
  }
}

/** All characters that take one or two bytes in UTF-8, and a sample of the rest. */
function everyKindOfCharacter(): string {
  const points = Array.from({ length: 0x800 }, (_, point) => point);
  for (let point = 0x800; point <= 0x10ffff; point += 1021) points.push(point);
  return `<s>Hello world\n${String.fromCodePoint(...points)}`;
}

async function compute(model: NativeModel): Promise<void> {
  const { isCausal, isEncoderDecoder, labels } = model.info();
  if (isCausal) await computeTwice(model);
  else if (isEncoderDecoder) await translate(model);
  else if (labels.length > 0) await classify(model);
  await embed(model);
}

/**
 * Decodes a prompt on one sequence, then a step of two sequences that share it. The prompt has more rows than the context has outputs,
 * because that crashes models for which llama.cpp computes the logits of every row.
 */
async function computeTwice(model: NativeModel): Promise<void> {
  const context = await model.createContext({
    nCtx: N_BATCH, nBatch: N_BATCH, nSeqMax: N_SEQ, nOutputsMax: N_SEQ, nThreads: 1, flashAttention: true, kvF32: false,
    steeringPath: "auto",
  });
  const prompt = new Batch();
  for (let position = 0; position < N_PROMPT; position++) prompt.add(0, position, 0, { output: position === N_PROMPT - 1 });
  await context.decode(prompt.toNative());
  context.kvCopy(0, 1, 0, -1);
  const step = new Batch();
  for (const sequence of [0, 1]) step.add(0, N_PROMPT, sequence, { output: true });
  await context.decode(step.toNative());
  context.dispose();
}

/** Classifies two texts of different lengths at once. */
async function classify(model: NativeModel): Promise<void> {
  const classifier = await model.createClassifier({ nThreads: 1 });
  await classifier.classify(["Hello", "Hello world"]);
  classifier.dispose();
}

/** Embeds two texts of different lengths at once, if the file is an embedding model. */
async function embed(model: NativeModel): Promise<void> {
  const embedder = await model.createEmbedder({ nThreads: 1 }).catch((error: { code?: ErrorCode }) => {
    if (error.code !== "E_BAD_GGUF") throw error;
  });
  await embedder?.embed(["Hello", "Hello world"]);
  embedder?.dispose();
}

/** Translates two texts of different lengths at once, with two tokens each. */
async function translate(model: NativeModel): Promise<void> {
  const translator = await model.createTranslator({ nThreads: 1, kvF32: false });
  await translator.translate(["Hello", "Hello world"], "", 2);
  translator.dispose();
}

/** Sends a report and waits until it is on its way, since the next step may crash the process. */
async function report(message: VetReport): Promise<void> {
  parentPort?.postMessage(message);
  await once(parentPort!, "message");
}
