import { expect, test } from "@jest/globals";
import { servedForFile } from "../support/served.js";
import { workOf } from "../support/work.js";

const { server, ask } = await servedForFile();

/** A long common beginning, as a system message is, and the end of one request. */
const COMMON = Array.from({ length: 200 }, (_, index) => 10 + (index * 7) % 400);
const FIRST = [300, 301, 302];

/** Asks for three given tokens; returns the tokens that were cached by the answer's account, and the rows that were computed. */
async function asked(end: readonly number[], steering?: string): Promise<{ cached: number; rows: number; nPrompt: number }> {
  const prompt = [...COMMON, ...end];
  const body = { model: "chat", prompt, steering, first_tokens: FIRST, max_tokens: FIRST.length };
  let usage = { prompt_tokens: NaN, prompt_tokens_details: { cached_tokens: NaN } };
  const { rows } = await workOf(async () => {
    const { status, json } = await ask("POST", "/v1/completions", body);
    expect(status).toBe(200);
    ({ usage } = json as { usage: typeof usage });
  });
  expect(usage.prompt_tokens).toBe(prompt.length);
  return { cached: usage.prompt_tokens_details.cached_tokens, rows, nPrompt: prompt.length };
}

test("a beginning that an earlier request had is computed once, unless it was steered otherwise", async () => {
  const [ON_PROMPT, ON_ANSWER] = ["on=prompt+answer", "on=answer"];
  const requests: Array<[what: string, end: number[], steering: string | undefined, shared: number]> = [
    ["the first", [1000, 1001], undefined, 0],
    ["another question", [1002, 1003, 1004], undefined, COMMON.length],
    ["the same question again", [1002, 1003, 1004], undefined, COMMON.length + 2],
    ["an answer that is steered, not its prompt", [1005, 1006], `one:fixed,1,${ON_ANSWER}`, COMMON.length],
    ["a steered prompt", [1000, 1001], `one:fixed,1,${ON_PROMPT}`, 0],
    ["the same steering of another question", [1007, 1008], `one:fixed,1,${ON_PROMPT}`, COMMON.length],
    ["another alpha", [1007, 1008], `one:fixed,1.5,${ON_PROMPT}`, 0],
    ["another vector", [1007, 1008], `two:fixed,1,${ON_PROMPT}`, 0],
    ["other layers", [1007, 1008], `one:fixed,1,layers=0-1,${ON_PROMPT}`, 0],
    ["no steering again", [1007, 1008], undefined, COMMON.length],
    ["the first alpha again", [1000, 1002], `one:fixed,1,${ON_PROMPT}`, COMMON.length + 1],
  ];
  for (const [what, end, steering, shared] of requests) {
    const { cached, rows, nPrompt } = await asked(end, steering);
    // The last token of a prompt is always computed: its row decides the first token.
    expect({ what, cached, rows }).toEqual({ what, cached: shared, rows: nPrompt - shared + FIRST.length - 1 });
  }
});

test("answers to one prompt share it, and count it once", async () => {
  const prompt = [...COMMON.toReversed(), 1000];
  const body = { model: "chat", prompt, first_tokens: FIRST, max_tokens: FIRST.length, n: 4 };
  let usage: unknown;
  const { rows } = await workOf(async () => { ({ usage } = (await ask("POST", "/v1/completions", body)).json as { usage: unknown }); });
  expect(usage).toEqual({
    prompt_tokens: prompt.length, completion_tokens: 12, total_tokens: prompt.length + 12, prompt_tokens_details: { cached_tokens: 0 },
  });
  expect(rows).toBe(prompt.length - 1 + 4 * FIRST.length);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(Number(/^llama_steer_cached_prompt_tokens_total (\d+)$/m.exec(metrics)![1])).toBeGreaterThan(3 * (prompt.length - 2));
});
