// Beside node-llama-cpp: the same file, the same libraries, the same greedy tokens, in turns, in one process:
//   node dist/test/bench/peer-node-llama-cpp.js [MODEL] [--rounds N] [--tokens N] [--threads N]
import { getLlama, type LlamaContextSequence, type Token } from "node-llama-cpp";
import { loadModel, prompts } from "../../lib/index.js";
import { peerOptions, printPairs } from "./parts/peers.js";
import type { Measured } from "./parts/rounds.js";
import { FIRST_WORDS, QUESTION, secondsPerToken } from "./parts/subject.js";

const AT_ONCE = [1, 8];
const { path, rounds, tokens, threads } = peerOptions(process.argv.slice(2));
await using ours = await loadModel(path, { threads });
const llama = await getLlama({ build: "never", gpu: false, maxThreads: threads, logger: () => undefined });
const theirs = await llama.loadModel({ modelPath: path });
const context = await theirs.createContext({
  contextSize: 512, sequences: Math.max(...AT_ONCE), // together as many cells as ours
  batchSize: 512, flashAttention: true, threads: { ideal: threads, min: threads },
});
const sequences = Array.from({ length: Math.max(...AT_ONCE) }, () => context.getSequence());

/** What both wrote in the last round of each number at once; compared below. */
const written = { ours: new Map<string, number[]>(), theirs: new Map<string, number[]>() };

function promptOf(generation: number): number[] {
  const word = FIRST_WORDS[generation % FIRST_WORDS.length]!;
  return [...ours.tokenise(prompts.question(QUESTION)), ...ours.tokenise(` ${word}`, { bos: false }).slice(0, 1)];
}

/** Times of the tokens of each generation. */
async function race(
  atOnce: number, round: number, side: keyof typeof written, read: (i: number, prompt: number[]) => AsyncIterable<number>,
): Promise<Measured> {
  const times = await Promise.all(Array.from({ length: atOnce }, async (_, i) => {
    const own: number[] = [];
    const found: number[] = [];
    for await (const token of read(i, promptOf(round + i))) {
      own.push(performance.now());
      found.push(token);
    }
    written[side].set(`${atOnce} ${i} ${round}`, found);
    return own;
  }));
  return { seconds: secondsPerToken(times) };
}

async function* readOurs(prompt: number[]): AsyncGenerator<number> {
  for await (const { token } of ours.generate(prompt, { maxNewTokens: tokens })) yield token;
}

async function* readTheirs(sequence: LlamaContextSequence, prompt: number[]): AsyncGenerator<number> {
  await sequence.clearHistory();
  let n = 0;
  for await (const token of sequence.evaluate(prompt as Token[], { temperature: 0, yieldEogToken: true })) {
    if (theirs.isEogToken(token)) break;
    yield token;
    if (++n === tokens) break;
  }
}

const rows = AT_ONCE.flatMap((n) => [
  [`unsteered, ${n} at once`, (round: number) => race(n, round, "ours", (_, prompt) => readOurs(prompt))],
  [`node-llama-cpp, ${n} at once`, (round: number) => race(n, round, "theirs", (i, prompt) => readTheirs(sequences[i]!, prompt))],
] as const);
await printPairs(
  Object.fromEntries(rows),
  AT_ONCE.map((n) => ({ ours: `unsteered, ${n} at once`, theirs: `node-llama-cpp, ${n} at once`, bar: n === 1 ? 1.2 : 2.5 })), rounds,
);
const same = [...written.ours].filter(([key, list]) => String(list) === String(written.theirs.get(key)));
console.log(`\nsame tokens: ${same.length} of ${written.ours.size} answers`);
await context.dispose();
await theirs.dispose();
await llama.dispose();
