import { describe, expect, test } from "@jest/globals";
import { probe as probes } from "../../lib/experiments.js";
import { loadModel } from "../../lib/index.js";
import { randomProbe } from "../support/probes.js";
import { eventsOf, servedForFile, slowAnswers } from "../support/served.js";

const { server, ask, space } = await servedForFile();
const messages = [{ role: "user", content: "How can I stay healthy?" }];
const PROMPT = "Q:How can I stay healthy?\nA:";

interface Step {
  id: number;
  token: string;
  logprob: number;
  readings: Array<{ alpha: number; kl: number | null; gate?: { value: number } }>;
  candidates?: { output: Candidate[]; unsteered: Candidate[] | null; strong: Array<Candidate[] | null> };
}
interface Candidate {
  id: number;
  logprob: number;
}

/** A text completion of `chat` with its details. */
async function complete(body: object): Promise<{ id: string; text: string; steps: Step[]; steering: object[] }> {
  const standard = { model: "chat", prompt: PROMPT, max_tokens: 10, steering_details: true };
  const { status, json } = await ask("POST", "/v1/completions", { ...standard, ...body });
  expect([status, json.error]).toEqual([200, undefined]);
  const [{ text, llama_steer: { steps, steering } }] = json.choices as
    [{ text: string; llama_steer: { steps: Step[]; steering: object[] } }];
  return { id: json.id as string, text, steps, steering };
}
const idsOf = ({ steps }: { steps: Step[] }): number[] => steps.map(({ id }) => id);

describe("details", () => {
  test("alphas, KLs and the candidates of each stream", async () => {
    const { steps } = await complete({ steering: ["one:dyn,p=0.5", "two:fixed,0.5"], steering_details: { candidates: 3 } });
    expect(steps.some(({ readings: [dyn] }) => dyn!.alpha > 0)).toBe(true);
    for (const { id, logprob, readings: [dyn, fixed], candidates } of steps) {
      expect(dyn!.kl).toBeGreaterThanOrEqual(0);
      expect(fixed).toEqual({ alpha: 0.5, kl: null });
      expect(candidates!.output[0]!.id).toBe(id);
      expect(candidates!.output[0]!.logprob).toBeCloseTo(logprob, 4);
      expect([candidates!.unsteered!.length, candidates!.strong[0]!.length, candidates!.strong[1]]).toEqual([3, 3, null]);
    }
  });

  test("a stream has one chunk per token, with the same details", async () => {
    const body = { model: "chat", messages, max_tokens: 8, steering: "one:dyn", steering_details: { candidates: 2 } };
    const whole = (await ask("POST", "/v1/chat/completions", body)).json as { choices: [{ llama_steer: { steps: Step[] } }] };
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ ...body, stream: true }),
    });
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const chunks = await eventsOf(response) as unknown as
      Array<{ steering?: unknown; choices: [{ steering_details?: Step; llama_steer?: object }] }>;
    const steps = chunks.flatMap(({ choices: [each] }) => each.steering_details ?? []);
    const expected = whole.choices[0].llama_steer.steps;
    expect(steps.map(({ id, token }) => [id, token])).toEqual(expected.map(({ id, token }) => [id, token]));
    steps.forEach(({ readings: [reading] }, index) => expect(reading!.alpha).toBeCloseTo(expected[index]!.readings[0]!.alpha, 3));
    expect(chunks[0]!.steering).toMatchObject([{ vector: "one", schedule: { kind: "dynamic", topP: 0.5 } }]);
    expect(chunks.at(-1)!.choices[0].llama_steer).toMatchObject({ steering: [{ vector: "one" }] });
  });

  test("a gate by the id of a probe: its readings, its canonical text, and a replay", async () => {
    await using model = await loadModel(space.path("chat.gguf"), { threads: 1, gpuLayers: 0, vet: false });
    await probes.save(space.path("vectors/early.safetensors"), await randomProbe(model, 1, { layer: 0 }));
    const { id, steps, steering } = await complete({ steering: "one:fixed,0.5,when=early>0.5,until=0.4,at=1-9" });
    const gate = { probe: "early", above: 0.5, until: 0.4, per: "token", shape: "hard" };
    expect(steering).toMatchObject([{ vector: "one", gate, only: { from: 1, to: 9 } }]);
    steps.forEach(({ readings: [reading] }, step) => {
      if (step < 1 || step >= 9) expect(reading).toEqual({ alpha: 0, kl: null });
      else expect(reading!.alpha).toBe(0.5 * reading!.gate!.value);
    });
    const { json: again } = await ask("POST", `/v1/generations/${id}/replay`, { steering_details: true });
    expect(again.choices[0].llama_steer.steps.map((step: Step) => [step.id, step.readings[0]!.alpha]))
      .toEqual(steps.map((step) => [step.id, step.readings[0]!.alpha]));
    const written = { vector: "one", schedule: { kind: "fixed" }, gate };
    const { json: valid } = await ask("POST", "/v1/steering/validate", { model: "chat", steering: written });
    expect(valid).toMatchObject({ valid: true, shorthand: ["one:fixed,1,when=early>0.5,until=0.4"] });
    for (const [wrong, status] of [["one:fixed,1,when=two", 400], ["one:fixed,1,when=three", 404]] as const) {
      expect((await ask("POST", "/v1/completions", { model: "chat", prompt: PROMPT, steering: wrong })).status).toBe(status);
    }
  });

  test("another candidate continues the answer differently", async () => {
    const first = await complete({ steering: "one:fixed,1", steering_details: { candidates: 2 } });
    const taken = [...idsOf(first).slice(0, 2), first.steps[2]!.candidates!.output[1]!.id];
    const other = await complete({ steering: "one:fixed,1", first_tokens: taken });
    expect(idsOf(other).slice(0, 3)).toEqual(taken);
    expect(other.text).not.toBe(first.text);
    expect(idsOf(await complete({ steering: "one:fixed,1", first_tokens: idsOf(first).slice(0, 4) }))).toEqual(idsOf(first));
  });
});

describe("a running answer", () => {
  test("a slider changes it from the next token on; the tokens before keep their alpha; a replay repeats it", async () => {
    using _slow = slowAnswers(20);
    const controller = new AbortController();
    const response = await fetch(`${server.url}/v1/completions`, {
      method: "POST", headers: { "content-type": "application/json" }, signal: controller.signal,
      body: JSON.stringify({ model: "tiny", prompt: PROMPT, max_tokens: 150, stream: true, steering_details: true,
        steering: "tiny-formal:fixed,0.5" }),
    });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const { value: begin } = await reader.read();
    const { id } = JSON.parse(begin!.split("\n\n")[0]!.replace(/^data: /, "")) as { id: string };
    const changed = await ask("PATCH", `/v1/generations/${id}/steering`, { changes: [
      { index: 0, alpha: -0.25 }, { add: ["tiny-italian:fixed,0.1", "tiny-formal:dyn"] },
    ] });
    expect(changed).toMatchObject({ status: 200, json: { id, status: "running", choices: [{ steering: [
      { vector: "tiny-formal", schedule: { kind: "fixed", alpha: -0.25 } }, { vector: "tiny-italian" },
      { vector: "tiny-formal", schedule: { kind: "dynamic", strongAlpha: 2.5, alphaMax: 2.5 } }, // twice what the gallery states
    ] }] } });
    expect((await ask("PATCH", `/v1/generations/${id}/steering`, { changes: [{ index: 1, drop: true }] })).status).toBe(200);
    expect((await ask("PATCH", `/v1/generations/${id}/steering`, { changes: [{ index: 9, drop: true }] })).status).toBe(400);
    // All or nothing: the first change must not take effect where the second one is refused, for whatever reason.
    for (const wrong of [
      { index: 9, alpha: 7 }, { index: 3, schedule: { kind: "dynamic" } }, { add: "tiny-formal:fixed,1,layers=99" },
    ]) {
      const half = { changes: [{ index: 0, alpha: 7 }, { add: "tiny-formal:fixed,0.1,on=prompt+answer" }, wrong] };
      expect((await ask("PATCH", `/v1/generations/${id}/steering`, half)).status).toBe(400);
      const { steering: now } = (await ask("GET", `/v1/generations/${id}`)).json.choices[0];
      expect(now).toHaveLength(3);
      expect([now[0].schedule, now[1].schedule]).toMatchObject([{ alpha: -0.25 }, { kind: "fixed", alpha: 0 }]); // the second was dropped
    }
    expect((await ask("POST", `/v1/generations/${id}/replay`, {})).status).toBe(409);
    let text = begin!;
    for (let each = await reader.read(); !each.done; each = await reader.read()) text += each.value;
    const chunks = text.split("\n\n").filter((line) => line.startsWith("data: {")).map((line) => JSON.parse(line.slice(6)) as
      { choices: [{ steering_details?: Step; llama_steer?: { steering: Array<{ schedule: { kind: string; alphas: number[] } }> } }] });
    const steps = chunks.flatMap(({ choices: [each] }) => each.steering_details ?? []);
    const alphas = steps.map(({ readings: [reading] }) => reading!.alpha);
    const at = alphas.indexOf(-0.25);
    expect(at).toBeGreaterThan(0);
    expect(alphas).toEqual(alphas.map((_, step) => (step < at ? 0.5 : -0.25)));
    expect(steps.at(-1)!.readings).toHaveLength(3);
    expect(steps.at(-1)!.readings[1]!.alpha).toBe(0);
    const { steering } = chunks.at(-1)!.choices[0].llama_steer!;
    expect(steering[0]!.schedule).toMatchObject({ kind: "recorded", alphas: expect.arrayContaining([0.5, -0.25]) });

    expect(await ask("PATCH", `/v1/generations/${id}/steering`, { changes: [{ index: 0, alpha: 1 }] }))
      .toMatchObject({ status: 409, json: { error: { code: "generation_ended" } } });
    const again = (await ask("POST", `/v1/generations/${id}/replay`, { stream: false })).json as
      { choices: [{ llama_steer: { steps: Step[] } }] };
    const replayed = again.choices[0].llama_steer.steps;
    expect(replayed.map((step) => step.id)).toEqual(steps.map((step) => step.id));
    replayed.forEach(({ readings, logprob }, step) => {
      expect(readings[0]!.alpha).toBeCloseTo(alphas[step]!, 6);
      expect(logprob).toBeCloseTo(steps[step]!.logprob, 2);
    });
  });

  test("can be cancelled; others are unknown", async () => {
    const response = await fetch(`${server.url}/v1/completions`, {
      method: "POST", headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "tiny", prompt: PROMPT, max_tokens: 900, stream: true, steering_details: true }),
    });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = (await reader.read()).value!;
    const { id } = JSON.parse(text.split("\n\n")[0]!.replace(/^data: /, "")) as { id: string };
    expect((await ask("DELETE", `/v1/generations/${id}`)).status).toBe(200);
    for (let each = await reader.read(); !each.done; each = await reader.read()) text += each.value;
    expect(JSON.parse(text.trim().split("\n\n").at(-1)!.slice(6))).toMatchObject({ error: { code: "generation_cancelled" } });
    expect((await ask("GET", `/v1/generations/${id}`)).json).toMatchObject({ status: "cancelled" });
    for (const [method, path] of [["GET", ""], ["DELETE", ""], ["POST", "/replay"]] as const) {
      expect((await ask(method, `/v1/generations/none${path}`, method === "POST" ? {} : undefined)).status).toBe(404);
    }
  });
});

describe("many clients at once", () => {
  test("every answer is its answer alone, whatever steers the others", async () => {
    const steerings = [
      [], "one:fixed,1", "two:fixed,1.5", "one:dyn,p=0.4", ["one:fixed,0.7", "two:dyn"], "two:start,3", "one:dim,2", ["two:fixed,-1"],
    ];
    const bodies = Array.from({ length: 16 }, (_, index) => ({
      steering: steerings[index % 8], prompt: `Q:${["What do bees make?", "Why do leaves fall?", "How is bread made?"][index % 3]}\nA:`,
      steering_details: { candidates: 2 }, max_tokens: 8,
    }));
    const alone: Array<Awaited<ReturnType<typeof complete>>> = [];
    for (const body of bodies) alone.push(await complete(body));
    const together = await Promise.all(bodies.map((body) => complete(body)));
    let nTies = 0;
    together.forEach((answer, index) => {
      const expected = alone[index]!;
      const differs = answer.steps.findIndex(({ id }, step) => id !== expected.steps[step]?.id);
      if (differs < 0) return expect(idsOf(answer)).toEqual(idsOf(expected));
      // Only where two tokens are as likely as each other, up to rounding.
      const [a, b] = expected.steps[differs]!.candidates!.output;
      expect(a!.logprob - b!.logprob).toBeLessThan(0.01);
      nTies++;
    });
    expect(nTies).toBeLessThan(3);
  });
});

describe("measures", () => {
  test("validation gives the canonical form, or the reason", async () => {
    const steering = ["one:dyn,p=0.3,layers=1-2", { vector: "two", schedule: { kind: "fixed", alpha: 1 } }];
    const valid = await ask("POST", "/v1/steering/validate", { model: "chat", steering });
    expect(valid.json).toMatchObject({ valid: true, steering: [{ vector: "one", layers: [1, 2] }, { vector: "two" }] });
    expect(valid.json.shorthand).toEqual(["one:dyn,p=0.3,max=2,strong=2,kl=mean,layers=1+2", "two:fixed,1"]);
    for (const [steering, code] of [
      ["one:dyn,p=3", "E_BAD_SPEC"], ["one", "E_BAD_SPEC"], ["no:fixed,1", "vector_not_found"], ["tiny-formal:fixed,1", "E_MODEL_MISMATCH"],
    ]) {
      expect(await ask("POST", "/v1/steering/validate", { model: "chat", steering }))
        .toMatchObject({ status: 200, json: { valid: false, error: { code } } });
    }
    const { json: { error } } = await ask("POST", "/v1/steering/validate", { model: "chat", steering: "one:fixd,1" });
    expect(error.message).toMatch(/^steering one:fixd,1: unknown schedule "fixd"; expected .*; docs\/server\.md explains the notation$/);
  });

  test("a score is what the answer's steps say, and unsteered it is the difference's other side", async () => {
    const { steps } = await complete({ steering: "one:fixed,1" });
    const continuation = steps.map(({ id }) => id);
    const { json } = await ask("POST", "/v1/score", { model: "chat", prompt: PROMPT, continuation, steering: "one:fixed,1" });
    const scored = json as { tokens: Array<{ id: number; logprob: number; unsteered_logprob: number }>; perplexity: number;
      unsteered_perplexity: number; delta_perplexity: number };
    scored.tokens.forEach(({ logprob }, step) => expect(logprob).toBeCloseTo(steps[step]!.logprob, 3));
    const mean = scored.tokens.reduce((sum, each) => sum + each.logprob, 0) / scored.tokens.length;
    expect(scored.perplexity).toBeCloseTo(Math.exp(-mean), 6);
    expect(scored.delta_perplexity).toBeCloseTo(scored.perplexity - scored.unsteered_perplexity, 8);
    const plain = await ask("POST", "/v1/score", { model: "chat", prompt: PROMPT, continuation });
    expect(plain.json).toMatchObject({ delta_perplexity: 0 });
    expect((plain.json as typeof scored).perplexity).toBeCloseTo(scored.unsteered_perplexity, 1);
    const chat = await ask("POST", "/v1/score", { model: "chat", messages, continuation, steering: "one:fixed,1" });
    expect(chat.status).toBe(200);
    expect((await ask("POST", "/v1/score", { model: "chat", messages, prompt: "x", continuation })).status).toBe(400);
  });

  test("texts are judged", async () => {
    const { json } = await ask("POST", "/v1/evaluate", {
      model: "chat",
      texts: [{ text: "Buongiorno a tutti, come state oggi?" }, { question: "Why?", text: "Because the weather is lovely today." }],
      evaluators: [{ kind: "language", wanted: "it" }, { kind: "fluency" }, { kind: "perplexity" }],
    });
    const [language, fluency, perplexity] = json.data as Array<{ name: string; results: Array<Record<string, unknown>> }>;
    expect(language!.results.map((each) => [each[""], each["hit"]])).toEqual([["ita", true], ["eng", false]]);
    expect(fluency!.results.map((each) => each["words"])).toEqual([6, 6]);
    expect(perplexity!.results.every((each) => Number(each[""]) > 1)).toBe(true);
  });
});
