import { beforeAll, describe, expect, test } from "@jest/globals";
import { probe as probes } from "../../lib/experiments.js";
import { loadModel } from "../../lib/index.js";
import { parseSteer, steeringSpecSchema, type SteeringSpec } from "../../lib/steering/index.js";
import { Answer } from "../../lib/server/answers/answer.js";
import type { AnswerSettings, ChoiceSettings } from "../../lib/server/answers/settings.js";
import { Gate } from "../../lib/server/pool/gate.js";
import type { Lease } from "../../lib/server/pool/pool.js";
import type { Shelf } from "../../lib/server/vectors/shelf.js";
import { randomProbe } from "../support/probes.js";
import { eventsOf, LOAD, servedForFile, slowAnswers } from "../support/served.js";
import { randomVector } from "../support/tiny-files.js";

const { server, ask, space } = await servedForFile();
const PROMPT = "Q:How can I stay healthy?\nA:";

interface Step {
  id: number;
  logprob: number;
  readings: Array<{ alpha: number; kl: number | null; gate?: { probability: number; value: number } }>;
}
interface Chunk {
  id: string;
  steering?: SteeringSpec[];
  choices: [{ text: string; steering_details?: Step; llama_steer?: { steering: SteeringSpec[] } }];
}

beforeAll(async () => {
  const model = await loadModel(space.path("chat.gguf"), LOAD);
  for (const layer of [0, 3]) {
    await probes.save(space.path(`vectors/at${layer}.safetensors`), await randomProbe(model, 1, { layer, scale: 4 }));
  }
  model.dispose();
});

/** A streamed completion of `chat`. */
async function streamed(body: object): Promise<{ id: string; chunks: Chunk[]; steps: Step[] }> {
  const response = await fetch(`${server.url}/v1/completions`, {
    method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "chat", prompt: PROMPT, max_tokens: 10, stream: true, steering_details: true, ...body }),
  });
  const chunks = await eventsOf(response) as unknown as Chunk[];
  return { id: chunks[0]!.id, chunks, steps: chunks.flatMap(({ choices: [{ steering_details: step }] }) => step ?? []) };
}

const fixed = { kind: "fixed", alpha: 0.5 } as const;
const gate = { probe: "at0", above: 0.5 } as const;

/** Every kind of control, as an object and in shorthand. */
const KINDS: Array<[shorthand: string, written: object]> = [
  ["one:budget,0.2", { schedule: { kind: "budget", nats: 0.2 } }],
  ["one:budget,2,max=1,per=answer", { schedule: { kind: "budget", nats: 2, alphaMax: 1, per: "answer" } }],
  ["one:fixed,0.5,op=project", { schedule: fixed, operator: "project" }],
  ["one:fixed,1,op=ablate,norm=keep", { schedule: { kind: "fixed" }, operator: "ablate", keepNorm: true }],
  ["one:fixed,0.5,op=clamp", { schedule: fixed, operator: "clamp" }],
  ["one:dyn,max=1,strong=1,op=ablate", { schedule: { kind: "dynamic", alphaMax: 1, strongAlpha: 1 }, operator: "ablate" }],
  ["one:fixed,0.5,when=at0>0.5,until=0.2", { schedule: fixed, gate: { ...gate, until: 0.2 } }],
  ["one:fixed,0.5,when=at0<0.9,gate=smooth", { schedule: fixed, gate: { probe: "at0", below: 0.9, shape: "smooth" } }],
  ["one:budget,0.2,when=at0>0,per=prompt", { schedule: { kind: "budget", nats: 0.2 }, gate: { probe: "at0", above: 0, per: "prompt" } }],
  ["one:fixed,0.5,at=2-5,words=first", { schedule: fixed, only: { from: 2, to: 5, words: "first" } }],
  ['one:fixed,0.5,since="a, b"', { schedule: fixed, only: { since: "a, b" } }],
];

describe("every kind of control", () => {
  test.each(KINDS)("%s: taken in both forms, echoed in full, streamed, and replayed", async (shorthand, written) => {
    const expected = [steeringSpecSchema.parse({ vector: "one", ...written })];
    const { chunks, steps, id } = await streamed({ steering: shorthand });
    expect(chunks[0]!.steering).toEqual(expected);
    expect(chunks.at(-1)!.choices[0].llama_steer!.steering).toEqual(expected);
    const again = await streamed({ steering: [{ vector: "one", ...written }] });
    expect(again.chunks[0]!.steering).toEqual(expected);
    expect(again.steps.map((step) => step.id)).toEqual(steps.map((step) => step.id));
    // The second time, the prompt's rows are in the cache: other batches, other rounding.
    again.steps.forEach(({ readings: [read] }, step) => expect(read!.alpha).toBeCloseTo(steps[step]!.readings[0]!.alpha, 3));
    const { json: valid } = await ask("POST", "/v1/steering/validate", { model: "chat", steering: shorthand });
    expect(valid).toMatchObject({ valid: true, steering: expected });
    const { json: back } = await ask("POST", "/v1/steering/validate", { model: "chat", steering: valid.shorthand });
    expect(back.steering).toEqual(expected);
    const { json: replayed } = await ask("POST", `/v1/generations/${id}/replay`, { stream: false });
    const past = replayed.choices[0].llama_steer.steps as Step[];
    expect(past.map((step) => [step.id, step.readings[0]!.alpha])).toEqual(steps.map((step) => [step.id, step.readings[0]!.alpha]));
  });

  test("a budget streams what it chose and spent: within a token's budget, or in sum within the answer's", async () => {
    const [token, answer] = [await streamed({ steering: KINDS[0]![0] }), await streamed({ steering: KINDS[1]![0] })];
    const readings = ({ steps }: { steps: Step[] }): Array<[number, number]> =>
      steps.map(({ readings: [read] }) => [read!.alpha, read!.kl!]);
    for (const [alpha, kl] of readings(token)) expect([kl >= 0 && kl <= 0.2, alpha > 0 === kl > 0]).toEqual([true, true]);
    expect(readings(token).some(([alpha]) => alpha > 0)).toBe(true);
    const spent = readings(answer).reduce((sum, [, kl]) => sum + kl, 0);
    expect(spent).toBeGreaterThan(0.2);
    expect(spent).toBeLessThanOrEqual(2);
  });

  test("a gate streams what it read and did; per prompt it is the same at every token", async () => {
    const { steps } = await streamed({ steering: "one:fixed,0.5,when=at0>0.5" });
    const states = steps.map(({ readings: [{ alpha, gate: read } = { alpha: NaN }] }) => {
      expect(read!.value).toBe(read!.probability >= 0.5 ? 1 : 0);
      expect(alpha).toBe(0.5 * read!.value);
      return read!.value;
    });
    expect(new Set(states)).toEqual(new Set([0, 1]));
    const { steps: kept } = await streamed({ steering: "one:fixed,0.5,when=at0>0.5,per=prompt" });
    expect(new Set(kept.map(({ readings: [read] }) => read!.gate!.probability)).size).toBe(1);
    const { steps: smooth } = await streamed({ steering: "one:fixed,0.5,when=at0,gate=smooth" });
    for (const { readings: [read] } of smooth) {
      expect(read!.gate!.value).toBe(Math.fround(read!.gate!.probability));
      expect(read!.alpha).toBeCloseTo(0.5 * read!.gate!.value, 6);
    }
  });
});

describe("what cannot be", () => {
  test.each([
    ["one:budget,0.2,op=clamp", "E_BAD_SPEC", /clamp/], ["one:dyn,op=clamp", "E_BAD_SPEC", /clamp/],
    ["one:fixed,1,op=clamp,when=at0,gate=smooth", "E_BAD_SPEC", /smooth/],
    ["one:fixed,1,when=at0>0.5,until=0.9", "E_BAD_SPEC", /until/], ["one:fixed,1,when=at0,on=prompt+answer", "E_BAD_SPEC", /prompt/],
    ["one:budget,-1", "E_BAD_SPEC", /nats/], ["one:fixed,1,at=5-2", "E_BAD_SPEC", /from/],
    ["one:fixed,1,when=none>0.5", "vector_not_found", /no probe is called "none"/],
    // Known only once vector and gate meet the model's graph.
    ["one:fixed,1,layers=99", "E_SHAPE", /99/],
    ["one:fixed,1,when=at3>0.5", "E_BAD_SPEC", /the gate's probe reads head_out of layer 3/],
  ])("is refused before anything is written, with the same reason by validation: %s", async (steering, code, message) => {
    const { status, json } = await ask("POST", "/v1/completions", { model: "chat", prompt: PROMPT, stream: true, steering });
    expect([status, json.error.code]).toEqual([code === "vector_not_found" ? 404 : 400, code]);
    expect(json.error.message).toMatch(message);
    const { json: verdict } = await ask("POST", "/v1/steering/validate", { model: "chat", steering });
    expect(verdict).toEqual({ valid: false, error: { code, message: json.error.message } });
  });
});

/** A long answer that has just begun, and how to change it. */
async function begun(body: object) {
  const response = await fetch(`${server.url}/v1/completions`, {
    method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "chat", prompt: PROMPT, max_tokens: 300, grammar: "root ::= [a-z ]{1500}", stream: true, steering_details: true, ...body,
    }),
  });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const text = (await reader.read()).value!;
  const { id } = JSON.parse(text.split("\n\n")[0]!.replace(/^data: /, "")) as { id: string };
  return { id, reader, text, change: (changes: object[]) => ask("PATCH", `/v1/generations/${id}/steering`, { changes }) };
}

describe("a running answer", () => {
  test("is changed by one request after the other: together they add no more than one may", async () => {
    const model = await loadModel(space.path("chat.gguf"), LOAD);
    const vector = await randomVector(model, 1);
    const shelf = { vector: () => Promise.resolve(vector), idOf: () => "one" } as unknown as Shelf; // answers all at the same time
    const lease: Lease = { id: "chat", model, gate: new Gate(1, 0), [Symbol.dispose]: () => undefined };
    const settings: AnswerSettings = {
      sampling: {}, stop: [], monitor: [], details: { isWanted: false, candidates: 0 }, logprobs: undefined, isStream: true,
      hasUsage: false,
    };
    const choice: ChoiceSettings = {
      index: 0, prompt: [1, 70], echo: "", maxNewTokens: 9, seed: 1, firstTokens: [70, 71, 72, 73], steer: [],
    };
    const answer = new Answer("text", settings, [choice], lease, { shelf, metrics: undefined as never, timeout: 5 });
    const writing = answer.write();
    await writing.next();
    const twelve = [{ add: Array<SteeringSpec>(12).fill(parseSteer("one:fixed,0.1")) }, { index: 11, alpha: 0.2 }];
    const tried = await Promise.allSettled([1, 2, 3, 4].map(() => answer.change(twelve, undefined)));
    expect(tried.map(({ status }) => status).sort()).toEqual(["fulfilled", "fulfilled", "rejected", "rejected"]);
    expect(answer.steering).toHaveLength(24);
    await writing.return();
    model.dispose();
  });

  test("whose probe reads where a vector would be removed refuses it before anything is changed, and goes on", async () => {
    using _slow = slowAnswers();
    const { reader, change } = await begun({ steering: "one:fixed,0.5", monitor: ["at3"] });
    const refused = await change([{ index: 0, alpha: 7 }, { add: "two:fixed,1,op=ablate" }]);
    expect(refused).toMatchObject({ status: 400, json: { error: { code: "E_BAD_ARGUMENT", message: expect.stringMatching(/layer 3/) } } });
    const { status, json } = await change([{ add: "two:fixed,1,op=ablate,layers=0-2" }]);
    expect([status, json.status]).toEqual([200, "running"]);
    expect(json.choices[0].steering).toMatchObject([{ schedule: { alpha: 0.5 } }, { operator: "ablate" }]);
    let text = "";
    while ((text.match(/"readings":\[\{[^[\]]*\},\{/g) ?? []).length < 3) {
      const { done, value } = await reader.read();
      expect(done).toBe(false);
      text += value;
    }
    expect(text).not.toContain('"error"');
    await reader.cancel();
  });

  test("takes a budget, and none where the operator cannot have one: then nothing changes", async () => {
    using _slow = slowAnswers();
    const running = await begun({ steering: ["one:fixed,0.5", "two:fixed,0.5,op=clamp", "two:fixed,0.5,on=prompt+answer"] });
    const { id, reader, change } = running;
    let { text } = running;
    const budget = { kind: "budget", nats: 0.3 };
    for (const index of [1, 2]) {
      const refused = await change([{ index: 0, alpha: 7 }, { index, schedule: budget }]);
      expect(refused).toMatchObject({ status: 400, json: { error: { code: "E_BAD_SPEC" } } });
    }
    expect(await change([{ add: "two:fixed,1,when=at3>0.5" }])).toMatchObject({ status: 400 });
    const { json: state } = await ask("GET", `/v1/generations/${id}`);
    expect(state.choices[0].steering.map(({ schedule }: SteeringSpec) => schedule)).toEqual(Array(3).fill({ kind: "fixed", alpha: 0.5 }));
    const { status, json } = await change([{ index: 0, schedule: budget }, { add: "one:fixed,0.5,op=ablate,when=at0>0.5" }]);
    expect([status, json.choices[0].steering[0].schedule]).toEqual([200, { ...budget, alphaMax: 2, per: "token" }]);
    expect(json.choices[0].steering[3]).toMatchObject({ operator: "ablate", gate: { probe: "at0", above: 0.5 } });
    while ((text.match(/"kl":\d/g) ?? []).length < 10) {
      const { done, value } = await reader.read();
      expect(done).toBe(false);
      text += value;
    }
    await reader.cancel();
    const whole = text.slice(0, text.lastIndexOf("\n\n")).split("\n\n"); // the last event may be cut
    const chunks = whole.map((line) => JSON.parse(line.slice(6)) as Chunk);
    const steps = chunks.flatMap(({ choices: [each] }) => each.steering_details ?? []);
    const first = steps.findIndex(({ readings: [read] }) => read!.kl !== null);
    expect(first).toBeGreaterThan(0);
    for (const { readings: [read] } of steps.slice(first)) expect(read!.kl).toBeLessThanOrEqual(0.3);
    expect(steps.at(-1)!.readings[3]!.gate).toBeDefined();
  });
});
