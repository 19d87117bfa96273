// Load on a server over loopback: clients with mixed steerings, some of which leave, against one plain batch of the same size.
//   node dist/test/bench/serve-load.js [MODEL] [--clients 32] [--seconds 120] [--tokens 32]
import { parseArgs } from "node:util";
import { loadModel } from "../../lib/index.js";
import { serve, type Server } from "../../lib/server.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    clients: { type: "string", default: "32" }, seconds: { type: "string", default: "120" }, tokens: { type: "string", default: "32" },
    threads: { type: "string", default: "2" }, plain: { type: "boolean", default: false },
  },
});
const [name = "tiny"] = positionals;
const [nClients, seconds, nTokens, threads] = [values.clients, values.seconds, values.tokens, values.threads].map(Number) as
  [number, number, number, number];
const load = { threads, contextSize: nClients * 256, maxSequences: Math.min(256, nClients * 3) };
const QUESTIONS = ["What do bees make?", "How can I stay healthy?", "Why do leaves fall?", "How is bread made?", "What is a good present?"];
const promptOf = (index: number): string => `Q:${QUESTIONS[index % QUESTIONS.length]!}\nA:`;
/** One client in eight leaves in the middle of an answer. */
const LEAVING = 8;

/** Steerings of the vectors that the server has for its model; none, if it has none. */
async function steeringsOf({ url }: Server): Promise<Array<string | undefined>> {
  if (values.plain) return [undefined];
  const { data } = await (await fetch(`${url}/v1/vectors`)).json() as { data: Array<{ id: string; kind: string; models: string[] }> };
  const ids = data.filter(({ kind, models }) => kind === "vector" && models.length > 0).map(({ id }) => id);
  return [undefined, ...ids.flatMap((id) => [`${id}:fixed,0.7`, `${id}:start,1.5`, `${id}:dim,1.5`])];
}

interface Measured {
  tokens: number;
  firsts: number[];
  gaps: number[];
  failures: number;
  left: number;
}

/** One answer after the other until the time is up. */
async function client(
  index: number, url: string, steerings: ReadonlyArray<string | undefined>, until: number, all: Measured,
): Promise<void> {
  for (let turn = 0; performance.now() < until; turn++) {
    const isLeaving = (index + turn) % LEAVING === 0 && !values.plain;
    const steering = steerings[(index + turn) % steerings.length];
    const body = { prompt: promptOf(index + turn), max_tokens: nTokens, stream: true, steering };
    const begun = performance.now();
    const response = await fetch(`${url}/v1/completions`, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
    });
    if (!response.ok) {
      all.failures++;
      await response.text();
      continue;
    }
    let before = begun;
    let nRead = 0;
    for await (const bytes of response.body!) {
      const events = Buffer.from(bytes).toString().split("\n\n").filter((event) => /"text":"./.test(event)).length;
      if (events === 0) continue;
      const now = performance.now();
      if (nRead === 0) all.firsts.push(now - begun);
      else all.gaps.push(now - before);
      before = now;
      nRead += events;
      all.tokens += events;
      if (isLeaving && nRead > nTokens / 2) {
        all.left++;
        break; // closes the connection
      }
    }
  }
}

/** Tokens per second of one plain batch of as many answers, without a server. */
async function plainBatch(): Promise<number> {
  await using model = await loadModel(name, load);
  const round = async (): Promise<number> => {
    const results = await Promise.all(Array.from({ length: nClients }, (_, index) =>
      model.generate(promptOf(index), { maxNewTokens: nTokens }).result()));
    return results.reduce((sum, { tokens }) => sum + tokens.length, 0);
  };
  await round();
  const begun = performance.now();
  let tokens = 0;
  while (performance.now() - begun < Math.min(10, seconds) * 1000) tokens += await round();
  return tokens / ((performance.now() - begun) / 1000);
}

function quantile(all: readonly number[], share: number): string {
  const sorted = [...all].sort((a, b) => a - b);
  return `${(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN).toFixed(1)} ms`;
}

const megabytes = (): number => Math.round(process.memoryUsage.rss() / 1e6);

const alone = await plainBatch();
await using server = await serve({ models: [name], port: 0, parallel: nClients, maxQueue: nClients, load });
const steerings = await steeringsOf(server);
const measured: Measured = { tokens: 0, firsts: [], gaps: [], failures: 0, left: 0 };
const begun = performance.now();
const memory: number[] = [];
const watch = setInterval(() => { memory.push(megabytes()); }, 1000);
await Promise.all(Array.from({ length: nClients }, (_, index) => client(index, server.url, steerings, begun + seconds * 1000, measured)));
clearInterval(watch);
const served = measured.tokens / ((performance.now() - begun) / 1000);
const after = await plainBatch();
const plain = (alone + after) / 2;
console.log(`${name}, ${nClients} clients for ${seconds} s, ${steerings.length} steerings, ${measured.left} answers left, ${measured.failures} refused`);
console.log(`tokens/s: served ${served.toFixed(0)}, one plain batch ${alone.toFixed(0)} before and ${after.toFixed(0)} after; `
  + `ratio ${(served / plain).toFixed(2)}`);
console.log(`first token: p50 ${quantile(measured.firsts, 0.5)}, p99 ${quantile(measured.firsts, 0.99)}; `
  + `per token: p50 ${quantile(measured.gaps, 0.5)}, p99 ${quantile(measured.gaps, 0.99)}`);
console.log(`memory in MB, each tenth of the time: ${Array.from({ length: 10 }, (_, i) => memory[Math.floor(i * memory.length / 10)]).join(" ")}`);
