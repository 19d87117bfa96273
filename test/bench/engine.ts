// The engine against what llama.cpp itself allows on this machine:
//   npm run bench [-- MODEL [ROUNDS]]
// The yardstick is a plain C++ loop on the same libraries (native/bench/plain_loop.cc), or the same without steering. A round measures
// the two sides of a ratio in turn, ABBA, so that the machine's drift hits both alike; printed are median and range of the rounds' ratios.
import { extract, loadDataset, loadModel, type Model, type ScheduleInput, type VectorData } from "../../lib/index.js";
import { captureMeans } from "../../lib/capture/index.js";
import { generateText, type Pipeline } from "../../lib/generate/index.js";
import { questionPrompt } from "../../lib/prompt/question.js";
import { Batch } from "../../lib/engine/index.js";
import { PlainLoop } from "./plain-loop.js";

const [name = "gemma3-270m", rounds = "9"] = process.argv.slice(2);
const TOKENS = 48;
const N_CTX = 4096;
const N_SEQ = 16;
const QUESTION = questionPrompt("Why do leaves change colour in autumn?");

const model = await loadModel(name, { contextSize: N_CTX, maxSequences: N_SEQ });
const prompt = model.tokenise(QUESTION);
const { threads } = model;
const plain = await PlainLoop.start({ model: model.info.path, nCtx: N_CTX, nSeqMax: N_SEQ, threads });
const memory = await memoryRatio();
const vector = await extract(model, { positive: await loadDataset("ITA"), negative: await loadDataset("ENG"), support: 2, cache: false });
const vectors = Array.from({ length: 8 }, (_, i): VectorData => ({ ...vector, data: vector.data.map((value) => value * (1 + i / 10)) }));

/** The guesses of Dyn so far. */
const guessed = { guesses: 0, hits: 0 };

/** Tokens per second of `n` generations at once, by the time of their steps. */
async function rate(
  n: number, schedule: ScheduleInput | undefined, own: (i: number) => VectorData[], pipeline: Pipeline = "auto",
): Promise<number> {
  const results = await Promise.all(Array.from({ length: n }, (_, i) => {
    const steer = schedule ? own(i).map((vector) => ({ vector, schedule })) : [];
    return generateText(model, QUESTION, { maxNewTokens: TOKENS, steer, pipeline });
  }));
  for (const { work } of results) {
    guessed.guesses += work.guesses;
    guessed.hits += work.hits;
  }
  return results.reduce((sum, { tokens }) => sum + tokens.length, 0) / Math.max(...results.map(({ seconds }) => seconds));
}

const plainRate = async (n: number): Promise<number> => (n * TOKENS) / (await plain.decode(n, TOKENS, prompt)).seconds;
const plainStep = async (rows: number): Promise<number> => (await plain.rows(rows, TOKENS, prompt)).seconds / TOKENS;
const fixed = { kind: "fixed", alpha: 0.5 } as const;
const dynamic = { kind: "dynamic", topP: 0.5 } as const;

/** A row of the report: what is measured, and the yardstick that it is divided by. */
interface Row {
  label: string;
  bar: string;
  ours: () => Promise<number>;
  yardstick: () => Promise<number>;
}

const unsteered = (n: number): Promise<number> => rate(n, undefined, () => []);
const one = (): VectorData[] => vectors.slice(0, 1);
const three = (): VectorData[] => vectors.slice(0, 3);
const dyn = (nProperties: number, how: { atOnce?: number; pipeline?: Pipeline } = {}): Promise<number> =>
  rate(how.atOnce ?? 1, dynamic, () => vectors.slice(0, nProperties), how.pipeline);
/** Dyn in the plain order: two decodes per token. */
const plainOrder = { pipeline: "off" } as const;
/** Steps per second of a plain loop that decodes the rows of a Dyn step: the streams together, then the composed one. */
const plainDyn = async (n: number): Promise<number> => 1 / (await plainStep(n + 1) + await plainStep(1));

const ROWS: Row[] = [
  { label: "unsteered, 1 at once", bar: "≥ 0.97 plain loop", ours: () => unsteered(1), yardstick: () => plainRate(1) },
  { label: "unsteered, 8 at once", bar: "≥ 0.97 plain loop", ours: () => unsteered(8), yardstick: () => plainRate(8) },
  { label: "Fixed, 1 vector, 1 at once", bar: "≥ 0.97 unsteered", ours: () => rate(1, fixed, one), yardstick: () => unsteered(1) },
  { label: "Fixed, 3 vectors, 1 at once", bar: "≥ 0.97 unsteered", ours: () => rate(1, fixed, three), yardstick: () => unsteered(1) },
  { label: "Fixed, 1 vector, 8 at once", bar: "≥ 0.97 unsteered", ours: () => rate(8, fixed, one), yardstick: () => unsteered(8) },
  { label: "Fixed, 3 vectors, 8 at once", bar: "≥ 0.97 unsteered", ours: () => rate(8, fixed, three), yardstick: () => unsteered(8) },
  {
    label: "Fixed, 8 at once, 8 vectors", bar: "≥ 0.95 unsteered",
    ours: () => rate(8, fixed, (i) => [vectors[i]!]), yardstick: () => unsteered(8),
  },
  { label: "Dyn, 1 property", bar: "≥ 0.52 unsteered", ours: () => dyn(1), yardstick: () => unsteered(1) },
  { label: "Dyn, 2 properties", bar: "unsteered", ours: () => dyn(2), yardstick: () => unsteered(1) },
  { label: "Dyn, 1 property, 8 at once", bar: "≥ 0.5 unsteered", ours: () => dyn(1, { atOnce: 8 }), yardstick: () => unsteered(8) },
  { label: "Dyn, in a pipeline or not", bar: "plain order", ours: () => dyn(1), yardstick: () => dyn(1, plainOrder) },
  {
    label: "Dyn, plain order", bar: "≥ 0.92 of (2 rows) + (1 row)",
    ours: () => dyn(1, plainOrder), yardstick: () => plainDyn(1),
  },
  {
    label: "KL and alpha, ms", bar: "≤ 0.02 of a Dyn step",
    ours: async () => await klSeconds() * 1000, yardstick: async () => 1000 / await dyn(1),
  },
  {
    label: "extraction, rows/s", bar: "≥ 0.9 without capture",
    ours: () => captureRate(model, true), yardstick: () => captureRate(model, false),
  },
];

/** What is measured and its ratio to the yardstick. The order is ABBA: a machine that slows down steadily hits both alike. */
async function measured({ ours, yardstick }: Row): Promise<{ value: number; ratio: number }> {
  const before = await ours();
  const yards = await yardstick() + await yardstick();
  const value = (before + await ours()) / 2;
  return { value, ratio: 2 * value / yards };
}

/** What a KL adds to a decode: 8 pairs of rows with it and without, alternating. */
async function klSeconds(): Promise<number> {
  using context = await model.createContext({ nCtx: 512, nSeqMax: N_SEQ });
  const times: number[] = [];
  for (let i = 0; i < 12; i++) {
    const [without, with_] = [await timed(context, false), await timed(context, true)];
    times.push((with_ - without) / 8);
  }
  return median(times);
}

async function timed(context: Awaited<ReturnType<Model["createContext"]>>, measures: boolean): Promise<number> {
  context.kvClear();
  const batch = new Batch();
  for (let row = 0; row < 16; row++) batch.add(prompt[row % prompt.length]!, 0, row, { output: true });
  for (let pair = 0; measures && pair < 16; pair += 2) batch.measure({
    baseline: pair, strong: pair + 1, topP: 0.5, alphaMax: 2, klReduction: "mean",
  });
  const begun = performance.now();
  await context.decode(batch);
  return (performance.now() - begun) / 1000;
}

/** Rows per second of prompts as long as those of an extraction, and the first tokens of their answers. */
async function captureRate(on: Model, captures: boolean): Promise<number> {
  const prompts = Array.from(
    { length: 6 }, (_, i) => Array.from({ length: 6 }, (_unused, k) => `${QUESTION} Because of ${i} and ${k}.\n\n`).join(""),
  );
  const tokens = prompts.map((text) => on.tokenise(text));
  const begun = performance.now();
  if (captures) await captureMeans(on, tokens.map((one) => ({ tokens: one, weight: 1 })), { site: "head_out", maxNewTokens: 4 });
  else await Promise.all(prompts.map((text) => generateText(on, text, { maxNewTokens: 4 })));
  return tokens.reduce((sum, one) => sum + one.length + 4, 0) / ((performance.now() - begun) / 1000);
}

/** Resident bytes of this process over the plain loop's, after both have filled a batch with a prompt and have decoded. */
async function memoryRatio(): Promise<string> {
  const { nBatch } = plain.context;
  await plain.prefill(nBatch);
  await plain.decode(8, 4, prompt);
  await generateText(model, QUESTION.repeat(Math.ceil(nBatch / prompt.length) + 1), { maxNewTokens: 1 });
  await Promise.all(Array.from({ length: 8 }, () => generateText(model, QUESTION, { maxNewTokens: 4 })));
  const [ours, theirs] = [process.memoryUsage.rss(), (await plain.memory()).rss];
  return theirs === null
    ? "not measured here"
    : `${(ours / 1e6).toFixed(0)} MB, plain loop ${(theirs / 1e6).toFixed(0)} MB, ratio ${(ours / theirs).toFixed(2)} (bar ≤ 1.1)`;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

console.log(
  `${name} (${model.info.quantisation}), ${threads} threads, ${rounds} rounds of ${TOKENS} tokens; tokens/s: median; ratio: median (min–max)`,
);
for (const row of ROWS) {
  await measured(row); // warms up
  const found: Array<Awaited<ReturnType<typeof measured>>> = [];
  for (let i = 0; i < Number(rounds); i++) found.push(await measured(row));
  const ratios = found.map(({ ratio }) => ratio);
  console.log(
    `${row.label.padEnd(28)} ${median(found.map(({ value }) => value)).toFixed(1).padStart(8)}   `
    + `${median(ratios).toFixed(3)} (${Math.min(...ratios).toFixed(3)}–${Math.max(...ratios).toFixed(3)})   ${row.bar}`,
  );
}
console.log(`guessed tokens that were right: ${(guessed.hits / guessed.guesses).toFixed(2)} of ${guessed.guesses}`);
console.log(`resident memory: ${memory}`);
model.dispose();
await plain[Symbol.asyncDispose]();
