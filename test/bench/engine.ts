// The engine against what llama.cpp itself allows on this machine:
//   npm run bench [-- MODEL [ROUNDS]]
// The yardstick is a plain C++ loop on the same libraries (native/bench/plain_loop.cc). All settings of a round run one
// after the other, so that the machine's drift hits all alike; printed are median and range of the rounds' ratios.
import { extract, loadDataset, loadModel, type Model, type ScheduleInput, type VectorData } from "../../lib/index.js";
import { captureMeans } from "../../lib/capture/index.js";
import { generateText } from "../../lib/generate/index.js";
import { questionPrompt } from "../../lib/prompt/question.js";
import { seededRandom } from "../../lib/maths/random.js";
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

/** Tokens per second of `n` generations at once, by the time of their steps. */
async function rate(n: number, schedule: ScheduleInput | undefined, own: (i: number) => VectorData[]): Promise<number> {
  const results = await Promise.all(Array.from({ length: n }, (_, i) =>
    generateText(model, QUESTION, { maxNewTokens: TOKENS, steer: schedule ? own(i).map((one) => ({ vector: one, schedule })) : [] })));
  return results.reduce((sum, { tokens }) => sum + tokens.length, 0) / Math.max(...results.map(({ seconds }) => seconds));
}

const plainRate = async (n: number): Promise<number> => (n * TOKENS) / (await plain.decode(n, TOKENS, prompt)).seconds;
const plainStep = async (rows: number): Promise<number> => (await plain.rows(rows, TOKENS, prompt)).seconds / TOKENS;
const fixed = { kind: "fixed", alpha: 0.5 } as const;
const dynamic = { kind: "dynamic", topP: 0.5 } as const;

/** One value per row of the report: a rate, or a share. */
const columns: Record<string, { bar: string; values: number[]; ratios: number[] }> = {};
function note(label: string, bar: string, value: number, ratio: number): void {
  const column = columns[label] ??= { bar, values: [], ratios: [] };
  column.values.push(value);
  column.ratios.push(ratio);
}

const MEASUREMENTS = {
  plain1: () => plainRate(1),
  plain8: () => plainRate(8),
  step1: () => plainStep(1),
  step2: () => plainStep(2),
  step3: () => plainStep(3),
  unsteered1: () => rate(1, undefined, () => []),
  unsteered8: () => rate(8, undefined, () => []),
  fixed1: () => rate(1, fixed, () => vectors.slice(0, 1)),
  fixed1x3: () => rate(1, fixed, () => vectors.slice(0, 3)),
  fixed8: () => rate(8, fixed, () => vectors.slice(0, 1)),
  fixed8x3: () => rate(8, fixed, () => vectors.slice(0, 3)),
  distinct8: () => rate(8, fixed, (i) => [vectors[i]!]),
  dyn1: () => rate(1, dynamic, () => vectors.slice(0, 1)),
  dyn2: () => rate(1, dynamic, () => vectors.slice(0, 2)),
  kl: () => klSeconds(),
  captured: () => captureRate(model, true),
  uncaptured: () => captureRate(model, false),
};
type Measured = Record<keyof typeof MEASUREMENTS, number>;

/** Everything once, in an order of its own: what runs just before must not favour one side. */
async function round(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const order = (Object.keys(MEASUREMENTS) as Array<keyof Measured>).map((key) => ({ key, at: random() })).sort((a, b) => a.at - b.at);
  const m = {} as Measured;
  for (const { key } of order) m[key] = await MEASUREMENTS[key]();
  note("unsteered, 1 at once", "≥ 0.97 plain loop", m.unsteered1, m.unsteered1 / m.plain1);
  note("unsteered, 8 at once", "≥ 0.97 plain loop", m.unsteered8, m.unsteered8 / m.plain8);
  note("Fixed, 1 vector, 1 at once", "≥ 0.97 unsteered", m.fixed1, m.fixed1 / m.unsteered1);
  note("Fixed, 3 vectors, 1 at once", "≥ 0.97 unsteered", m.fixed1x3, m.fixed1x3 / m.unsteered1);
  note("Fixed, 1 vector, 8 at once", "≥ 0.97 unsteered", m.fixed8, m.fixed8 / m.unsteered8);
  note("Fixed, 3 vectors, 8 at once", "≥ 0.97 unsteered", m.fixed8x3, m.fixed8x3 / m.unsteered8);
  note("Fixed, 8 at once, 8 vectors", "≥ 0.95 unsteered", m.distinct8, m.distinct8 / m.unsteered8);
  note("Dyn, one property", "≥ 0.92 of (2 rows) + (1 row)", m.dyn1, m.dyn1 * (m.step2 + m.step1));
  note("Dyn, two properties", "≥ 0.92 of (3 rows) + (1 row)", m.dyn2, m.dyn2 * (m.step3 + m.step1));
  note("KL and alpha, ms", "≤ 0.02 of a Dyn step", m.kl * 1000, m.kl * m.dyn1);
  note("extraction, rows/s", "≥ 0.9 without capture", m.captured, m.captured / m.uncaptured);
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

await round(0); // warms up
for (const label of Object.keys(columns)) delete columns[label];
for (let i = 1; i <= Number(rounds); i++) await round(i);
console.log(
  `${name} (${model.info.quantisation}), ${threads} threads, ${rounds} rounds of ${TOKENS} tokens; tokens/s: median; ratio: median (min–max)`,
);
for (const [label, { bar, values, ratios }] of Object.entries(columns)) {
  console.log(
    `${label.padEnd(28)} ${median(values).toFixed(1)
      .padStart(8)}   ${median(ratios).toFixed(3)} (${Math.min(...ratios).toFixed(3)}–${Math.max(...ratios).toFixed(3)})   ${bar}`,
  );
}
console.log(`resident memory: ${memory}`);
model.dispose();
await plain[Symbol.asyncDispose]();
