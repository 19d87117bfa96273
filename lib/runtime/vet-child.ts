// The process that `tryInChild` starts: loads the GGUF of its argument, computes a little, reports, and ends.
import { writeFileSync } from "node:fs";
import type { ErrorCode } from "../errors.js";
import { addon, type NativeModel } from "../native/index.js";
import { Batch } from "./batch.js";
import type { VetReport } from "./vet-report.js";

/** The batch size that models' contexts have, so that llama.cpp plans graphs of the same size. */
const N_BATCH = 512;
const N_SEQ = 2;
const N_PROMPT = 4;

await main(process.argv[2]!);

async function main(path: string): Promise<void> {
  // Without a parent nobody needs the answer. Not exit(): it would wait for the thread that computes.
  process.once("disconnect", () => process.kill(process.pid, "SIGKILL"));
  dieFirst();
  try {
    const native = addon();
    await report({ stage: "started" });
    const model = await native.loadModel(path, { nGpuLayers: 0, useMmap: true });
    await report({ stage: "loaded" });
    await report(await use(model).then(() => ({ stage: "computed" }), (error: Error) => ({ stage: "computed", failure: error.message })));
  } catch (error) {
    const { code, message } = error as { code: ErrorCode; message: string };
    await report({ stage: "refused", code, message });
  }
  process.disconnect();
}

/** Where memory runs out, Linux should end this process and not the one that asked. */
function dieFirst(): void {
  try {
    writeFileSync("/proc/self/oom_score_adj", "1000");
  } catch {
    // Other systems have no such file.
  }
}

/** Everything that a program may do with a model and that depends on the file. */
async function use(model: NativeModel): Promise<void> {
  const { nVocab } = model.info();
  await generateTwice(model);
  model.detokenise(Int32Array.from({ length: nVocab }, (_, token) => token));
  model.tokenise("Ein Täßchen <s> 1 + 1\n\u{1F600}", true, true);
  model.dispose();
}

/**
 * A prompt on one sequence and a step of two that share it. The prompt has more rows than the context has outputs:
 * models for which llama.cpp computes the logits of every row end the process there.
 */
async function generateTwice(model: NativeModel): Promise<void> {
  const context = await model.createContext({
    nCtx: N_BATCH, nBatch: N_BATCH, nSeqMax: N_SEQ, nOutputsMax: N_SEQ, nThreads: 1, flashAttention: true, kvF32: false, steeringPath: "auto",
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

function report(message: VetReport): Promise<void> {
  return new Promise((resolve) => process.send?.(message, () => resolve()));
}
