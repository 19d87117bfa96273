// Beside llama.cpp's own control vector: one vector at `resid_post` of every layer but the first, set in llama.cpp or added by us:
//   node dist/test/bench/peer-control-vector.js [MODEL] [--rounds N] [--tokens N] [--threads N]
// Its vector is that of every row of the context and stays; so requests with vectors of their own need a context each, and share no decode.
import { loadModel, prompts, type VectorData } from "../../lib/index.js";
import { Batch, type Context } from "../../lib/engine/index.js";
import { randomVector } from "../support/tiny-files.js";
import { peerOptions, printPairs } from "./parts/peers.js";
import type { Measured } from "./parts/rounds.js";
import { QUESTION } from "./parts/subject.js";

const ROWS = [1, 8];
const SCALE = 0.02;
const { path, rounds, tokens, threads } = peerOptions(process.argv.slice(2));
await using model = await loadModel(path, { threads });
const prompt = model.tokenise(prompts.question(QUESTION));
const layers = Array.from({ length: model.info.nLayer - 1 }, (_, i) => i + 1); // llama.cpp's have none for layer 0
const of = (seed: number): Promise<VectorData> => randomVector(model, seed, { site: "resid_post", nSteps: 1, scale: SCALE, layers });
const vectors = await Promise.all(Array.from({ length: Math.max(...ROWS) }, (_, seed) => of(seed + 1)));
const handles = vectors.map((vector) => model.vectorHandle(vector));
const create = (): Promise<Context> => model.createContext({ nCtx: 4096, nSeqMax: Math.max(...ROWS) });
using none = await create();
using theirs = await create();
theirs.setControlVector(vectors[0]!.data);
using ours = await create();

/** Greedy tokens on sequences in lockstep after a prompt that they share; what steers a row is `vectorOf` its sequence. */
async function decode(
  context: Context, nRows: number, vectorOf?: (sequence: number) => number,
): Promise<{ seconds: number; written: number[][] }> {
  context.kvClear();
  const last = prompt.length - 1;
  const steering = (sequence: number): object =>
    (vectorOf ? { terms: [{ vector: handles[vectorOf(sequence)]!, step: 0, alpha: 1 }] } : {});
  const first = new Batch();
  for (const [position, token] of prompt.slice(0, last).entries()) first.add(token, position, 0, steering(0));
  await context.decode(first);
  for (let sequence = 1; sequence < nRows; sequence++) context.kvCopy(0, sequence, 0, last);
  const sampler = model.createSampler({}, prompt);
  const written = Array.from({ length: nRows }, () => [prompt[last]!]);
  const begun = performance.now();
  for (let step = 0; step < tokens; step++) {
    const batch = new Batch();
    for (const [sequence, own] of written.entries()) {
      const row = batch.add(own[step]!, last + step, sequence, { output: true, ...steering(sequence) });
      batch.sample(row, { sampler });
    }
    const { samples } = await context.decode(batch);
    for (const [sequence, own] of written.entries()) own.push(samples[sequence]!.token);
  }
  return { seconds: (performance.now() - begun) / 1000 / (nRows * tokens), written };
}

const row = (context: Context, nRows: number, vectorOf?: (sequence: number) => number) => async (): Promise<Measured> =>
  ({ seconds: (await decode(context, nRows, vectorOf)).seconds });
const [alone, many] = ROWS as [number, number];
await printPairs(
  {
    "no vector, 1 row": row(none, alone), [`no vector, ${many} rows`]: row(none, many),
    "control vector, 1 row": row(theirs, alone), [`control vector, ${many} rows`]: row(theirs, many),
    "one vector, 1 row": row(ours, alone, () => 0), [`one vector, ${many} rows`]: row(ours, many, () => 0),
    [`a vector each, ${many} rows`]: row(ours, many, (sequence) => sequence),
    // What contexts of their own, one after the other, would take: the vector of none can change.
    [`control vector, ${many} contexts of 1 row`]: row(theirs, alone),
  },
  [
    { ours: "one vector, 1 row", theirs: "no vector, 1 row" }, { ours: "one vector, 1 row", theirs: "control vector, 1 row" },
    { ours: `one vector, ${many} rows`, theirs: `control vector, ${many} rows` },
    { ours: `a vector each, ${many} rows`, theirs: `no vector, ${many} rows` },
    { ours: `a vector each, ${many} rows`, theirs: `control vector, ${many} contexts of 1 row` },
  ], rounds,
);
const [a, b] = [await decode(theirs, 1), await decode(ours, 1, () => 0)];
console.log(`\nsame tokens: ${String(a.written) === String(b.written) ? "yes" : "no"}`);
