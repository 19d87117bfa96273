// Load on a server over loopback: clients with mixed steerings, some of which leave, against one plain batch of the same size.
//   node dist/test/bench/serve-load.js [MODEL] [--clients 32] [--seconds 120] [--tokens 32] [--vectors DIR] [--plain]
// Ends with 1 if an answer under load parts from the same answer alone where the model was not nearly undecided.
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { availableProcessors } from "../../lib/engine/processors.js";
import { loadModel } from "../../lib/index.js";
import { addon } from "../../lib/native/index.js";
import { serve, type Server } from "../../lib/server.js";
import type { Load, Measured } from "./parts/load-clients.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    clients: { type: "string", default: "32" }, seconds: { type: "string", default: "120" }, tokens: { type: "string", default: "32" },
    threads: { type: "string", default: String(availableProcessors()) }, vectors: { type: "string" },
    plain: { type: "boolean", default: false },
  },
});
const [name = "tiny"] = positionals;
const [nClients, seconds, nTokens, threads] = [values.clients, values.seconds, values.tokens, values.threads].map(Number) as
  [number, number, number, number];
const load = { threads, contextSize: nClients * 256, maxSequences: Math.min(256, nClients * 3) };
const QUESTIONS = ["What do bees make?", "How can I stay healthy?", "Why do leaves fall?", "How is bread made?", "What is a good present?"];
const promptOf = (index: number): string => `Q:${QUESTIONS[index % QUESTIONS.length]!}\nA:`;
/** One answer in so many is left in the middle. */
const LEAVING = 8;
/** Two tokens whose log probabilities are closer than this may change places with what else is in the batch (docs/architecture.md). */
const UNDECIDED = 0.5;
/** Seconds until the code is compiled. */
const WARM_UP = 10;
/** Words of a long system message. */
const LONG_PROMPT = 120;

async function post<Answer>(url: string, body: object): Promise<Answer> {
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(await response.text());
  return await response.json() as Answer;
}

/** Every question with every steering of the vectors that the server has for its model. */
async function everythingAsked({ url }: Server): Promise<Load["asked"]> {
  const { data } = await (await fetch(`${url}/v1/vectors`)).json() as { data: Array<{ id: string; kind: string; models: string[] }> };
  const ids = data.filter(({ kind, models }) => kind === "vector" && models.length > 0 && !values.plain).map(({ id }) => id);
  const steerings = [null, ...ids.flatMap((id) => [`${id}:fixed,0.7`, `${id}:start,1.5`, `${id}:dim,1.5`])];
  return steerings.flatMap((steering) => QUESTIONS.map((_, index) => ({ prompt: promptOf(index), steering })));
}

/** An answer with nothing else running: its tokens' texts, and by how many nats each was likelier than the next one. */
interface Alone {
  text: string;
  tokens: Array<{ text: string; margin: number }>;
}

async function answeredAlone({ url }: Server, asked: Load["asked"][number]): Promise<Alone> {
  interface Step {
    token: string;
    candidates: { output: Array<{ logprob: number }> };
  }
  const { choices } = await post<{ choices: [{ text: string; llama_steer: { steps: Step[] } }] }>(
    url, { ...asked, max_tokens: nTokens, steering_details: { candidates: 2 } },
  );
  const tokens = choices[0].llama_steer.steps.map(({ token, candidates: { output: [first, second] } }) => (
    { text: token, margin: second === undefined ? Infinity : first!.logprob - second.logprob }
  ));
  return { text: choices[0].text, tokens };
}

/** By how many nats the model preferred the token at which another text parts from an answer. */
function marginAt({ tokens }: Alone, text: string): number {
  let written = "";
  for (const token of tokens) {
    written += token.text;
    if (!text.startsWith(written)) return token.margin;
  }
  return 0; // one goes on where the other has ended: by how much is not known
}

/** Which share of the answers under load is the answer alone, and the largest margin at which one parts from it. */
function compare(alone: readonly Alone[], { answers }: Measured): { same: number; all: number; margin: number } {
  let [same, all, margin] = [0, 0, 0];
  answers.forEach((given, which) => {
    for (const [text, count] of Object.entries(given)) {
      all += count;
      if (text === alone[which]!.text) same += count;
      else margin = Math.max(margin, marginAt(alone[which]!, text));
    }
  });
  return { same, all, margin };
}

/** Milliseconds to the first token of two requests that begin with the same long system message. */
async function firstTokens({ url }: Server): Promise<{ tokens: number; cold: number; warm: number }> {
  const system = Array.from({ length: LONG_PROMPT }, (_, index) => `rule ${index}`).join(", ");
  const ask = async (question: string): Promise<{ tokens: number; ms: number }> => {
    const begun = performance.now();
    const sent = { prompt: `${system}\n\nQ:${question}\nA:`, max_tokens: 1 };
    const { usage } = await post<{ usage: { prompt_tokens: number } }>(url, sent);
    return { tokens: usage.prompt_tokens, ms: performance.now() - begun };
  };
  await post(url, { prompt: promptOf(0), max_tokens: 1 }); // creates the context
  const [first, second] = [await ask(QUESTIONS[0]!), await ask(QUESTIONS[1]!)];
  return { tokens: first.tokens, cold: first.ms, warm: second.ms };
}

/** Tokens per second, microseconds of processor time of this process per token, and rows per decode. */
interface Rate {
  perSecond: number;
  cpu: number;
  rows: number;
}

/** Begins to measure; call the result with the number of tokens, and of seconds unless it is the time since. */
function measuring(): (tokens: number, seconds?: number) => Rate {
  const [begun, cpu, work] = [performance.now(), process.cpuUsage(), addon().workDone()];
  return (tokens, seconds = (performance.now() - begun) / 1000) => {
    const { user, system } = process.cpuUsage(cpu);
    const { rows, decodes } = addon().workDone();
    return { perSecond: tokens / seconds, cpu: (user + system) / tokens, rows: (rows - work.rows) / (decodes - work.decodes) };
  };
}

/** One plain batch of as many answers, without a server. */
async function plainBatch(): Promise<Rate> {
  await using model = await loadModel(name, load);
  const round = async (): Promise<number> => {
    const results = await Promise.all(Array.from({ length: nClients }, (_, index) =>
      model.generate(promptOf(index), { maxNewTokens: nTokens }).result()));
    return results.reduce((sum, { tokens }) => sum + tokens.length, 0);
  };
  await round();
  const [begun, rateOf] = [performance.now(), measuring()];
  let tokens = 0;
  while (performance.now() - begun < Math.min(10, seconds) * 1000) tokens += await round();
  return rateOf(tokens);
}

/** Runs the clients; also returns resident megabytes, once per second. */
async function underLoad(given: Load): Promise<{ measured: Measured; memory: number[] }> {
  const memory: number[] = [];
  const watch = setInterval(() => { memory.push(Math.round(process.memoryUsage.rss() / 1e6)); }, Math.min(1000, seconds * 90));
  const child = fork(fileURLToPath(new URL("parts/load-clients.js", import.meta.url)), { execArgv: [] });
  child.send(given);
  const [measured] = await Promise.race([
    once(child, "message"), once(child, "exit").then(() => { throw new Error("the clients ended early"); }),
  ]) as [Measured];
  clearInterval(watch);
  return { measured, memory };
}

function quantiles(all: readonly number[]): string {
  const sorted = [...all].sort((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN).toFixed(1);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
}

const before = await plainBatch();
await using server = await serve({
  models: [name], port: 0, parallel: nClients, maxQueue: nClients, load, ...(values.vectors !== undefined && { vectors: values.vectors }),
});
const { tokens, cold, warm } = await firstTokens(server);
const asked = await everythingAsked(server);
const alone: Alone[] = [];
for (const each of asked) alone.push(await answeredAlone(server, each));
const asking = { url: server.url, nClients, nTokens, asked, leaving: values.plain ? 0 : LEAVING };
await underLoad({ ...asking, seconds: Math.min(WARM_UP, seconds / 4) });
const rateOf = measuring();
const { measured, memory } = await underLoad({ ...asking, seconds });
const served = rateOf(measured.tokens, measured.seconds);
await server.close();
const after = await plainBatch();
const { same, all, margin } = compare(alone, measured);
const at = (share: number): number => memory[Math.min(memory.length - 1, Math.floor(share * memory.length))] ?? NaN;

console.log(`${name}, ${nClients} clients for ${seconds} s, ${asked.length} questions with steerings, ${all} whole answers, `
  + `${measured.left} left, ${measured.failures} refused`);
const compared = (of: (rate: Rate) => number): string => `served ${of(served).toFixed(0)}, one plain batch `
  + `${of(before).toFixed(0)} before and ${of(after).toFixed(0)} after; ratio ${(of(served) / ((of(before) + of(after)) / 2)).toFixed(2)}`;
console.log(`tokens/s: ${compared(({ perSecond }) => perSecond)}`);
console.log(`processor time per token in µs, without the clients': ${compared(({ cpu }) => cpu)}`);
console.log(`rows per decode: ${compared(({ rows }) => rows)}`);
console.log(`first token: ${quantiles(measured.firsts)}; per token: ${quantiles(measured.gaps)}`);
console.log(`first token after a beginning of ${tokens} tokens: ${cold.toFixed(1)} ms; with it in the cache: ${warm.toFixed(1)} ms`);
console.log(`same as alone: ${same} of ${all}; others part where the two likeliest tokens are at most ${margin.toPrecision(2)} nats apart`);
console.log(`memory in MB: ${at(0)} at the start, ${at(0.5)} in the middle, ${at(1)} at the end; each tenth: `
  + `${Array.from({ length: 10 }, (_, i) => at(i / 10)).join(" ")}`);
if (margin > UNDECIDED) process.exitCode = 1;
