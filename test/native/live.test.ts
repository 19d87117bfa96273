import { expect, test } from "@jest/globals";
import {
  compose, replay, type GenerateOptions, type GenerationResult, type GenerationStream, type SteerInput, type Steering, type VectorData,
} from "../../lib/index.js";
import { generate, generateText } from "../../lib/generate/index.js";
import { steeringSpecSchema } from "../../lib/steering/index.js";
import { tinyForFile } from "../support/file-model.js";
import { randomVector } from "../support/tiny-files.js";

const { model } = await tinyForFile();
const PROMPT = "steer";
const CHANGE = 4;
const maxNewTokens = 10;

const [first, second] = [await randomVector(model, 1, { nSteps: 8, scale: 1.5 }), await randomVector(model, 2, { nSteps: 8, scale: 1.5 })];

/** Changed after so many tokens. */
async function changed(
  steer: GenerateOptions["steer"], change: (stream: GenerationStream) => unknown, more: GenerateOptions = {},
): Promise<{ stream: GenerationStream; result: GenerationResult }> {
  const stream = generate(model, PROMPT, { maxNewTokens, ...(steer && { steer }), ...more });
  for (let i = 0; i < CHANGE; i++) await stream.next();
  await change(stream);
  return { stream, result: await stream.result() };
}

const ids = ({ tokens }: GenerationResult): number[] => tokens.map(({ token }) => token);
const alphas = ({ tokens }: GenerationResult): number[][] => tokens.map(({ readings }) => readings.map(({ alpha }) => alpha));
const before = (then: number, after: number) => (step: number) => (step < CHANGE ? then : after);

test("another alpha from the next token on, as a schedule that had it from the start", async () => {
  const { result } = await changed(
    { vector: first, schedule: { kind: "fixed", alpha: 1 } }, ({ steering }) => { steering[0]!.schedule = { kind: "fixed", alpha: -2 }; },
  );
  const expected = await generateText(model, PROMPT, { maxNewTokens, steer: { vector: first, schedule: before(1, -2) } });
  expect([ids(result), alphas(result)]).toEqual([ids(expected), alphas(expected)]);
  const unchanged = await generateText(model, PROMPT, { maxNewTokens, steer: { vector: first, schedule: { kind: "fixed", alpha: 1 } } });
  expect(ids(result).slice(0, CHANGE)).toEqual(ids(unchanged).slice(0, CHANGE));
  expect(ids(result)).not.toEqual(ids(unchanged)); // there was something to change
});

test("a copy of a running steering with another schedule is a steering, and an undefined option is one that is left out", async () => {
  const stream = generate(model, PROMPT, { maxNewTokens, steer: { vector: first, schedule: { kind: "fixed", alpha: 1 } } });
  await stream.next();
  const schedule = { kind: "fixed", alpha: 2 } as const;
  expect(compose({ ...stream.steering[0]!, schedule })).toMatchObject([{ vector: first, schedule }]);
  expect(compose({ vector: first, schedule, tial: undefined } as Steering)).toMatchObject([{ vector: first, schedule }]);
  expect(() => compose({ vector: first, schedule, tial: "hold" } as Steering)).toThrow(/no option is called "tial"; did you mean tail\?/);
  await stream.result();
});

test("a vector that is dropped, and one that is taken up again", async () => {
  const { result } = await changed(
    [{ vector: first, schedule: { kind: "fixed", alpha: 1 } }, { vector: second, schedule: { kind: "fixed", alpha: 1 } }],
    ({ steering }) => steering[0]!.drop(),
  );
  const expected = await generateText(
    model, PROMPT,
    { maxNewTokens, steer: [{ vector: first, schedule: before(1, 0) }, { vector: second, schedule: { kind: "fixed", alpha: 1 } }] },
  );
  expect([ids(result), alphas(result)]).toEqual([ids(expected), alphas(expected)]);
  const again = await changed({ vector: first, schedule: { kind: "fixed", alpha: 1 } }, ({ steering }) => {
    steering[0]!.drop();
    expect(steering[0]!.isDropped).toBe(true);
    steering[0]!.schedule = { kind: "fixed", alpha: 1 };
  });
  expect(ids(again.result)).toEqual(ids(
    await generateText(model, PROMPT, { maxNewTokens, steer: { vector: first, schedule: { kind: "fixed", alpha: 1 } } }),
  ));
});

test("a vector that is added, before the first token or later", async () => {
  const steer = { vector: second, schedule: { kind: "fixed" as const, alpha: 1 } };
  const { result } = await changed(undefined, (stream) => stream.add(steer));
  expect(ids(result)).toEqual(ids(await generateText(model, PROMPT, { maxNewTokens, steer: { vector: second, schedule: before(0, 1) } })));
  expect(result.tokens.map(({ readings }) => readings.length)).toEqual(Array.from(
    { length: maxNewTokens }, (_, step) => (step < CHANGE ? 0 : 1),
  ));
  const both = await generateText(model, PROMPT, { maxNewTokens, steer: [{ vector: first, schedule: { kind: "fixed" } }, steer] });
  const early = generate(model, PROMPT, { maxNewTokens, steer: { vector: first, schedule: { kind: "fixed" } } });
  await early.add(steer);
  expect(ids(await early.result())).toEqual(ids(both));
});

test("vectors that are added while the first token is under way: all of them count in the end", async () => {
  const stream = generate(model, PROMPT, { maxNewTokens, steer: { vector: first, schedule: { kind: "fixed" } } });
  const steer = { vector: second, schedule: { kind: "fixed" as const, alpha: 2 } };
  await Promise.all([stream.add(steer), stream.next(), stream.add(steer)]);
  expect(stream.steering.map(({ vector }) => vector)).toEqual([first, second, second]);
  expect(alphas(await stream.result()).slice(1)).toEqual(Array.from({ length: maxNewTokens - 1 }, () => [1, 2, 2]));
});

test.each<[string, GenerateOptions]>([
  ["greedy", {}],
  ["drawn, with a penalty", { sampling: { temperature: 1.2, topK: 40, repeatPenalty: 1.3, seed: 7 } }],
])("replayed, a generation with everything changed gives its tokens: %s", async (_, more) => {
  const dynamic = { kind: "dynamic" as const, topP: 0.9, klReduction: "sum" as const };
  const { stream, result } = await changed([{ vector: first, schedule: (step) => 1 / (step + 1) }], async (running) => {
    await running.add({ vector: second, schedule: dynamic, layers: [1] });
    await running.next();
    running.steering[0]!.drop();
    await running.next();
    running.steering[0]!.schedule = dynamic;
  }, more);
  expect(new Set(alphas(result).flat()).size).toBeGreaterThan(5);
  const replayed = await generateText(model, PROMPT, { maxNewTokens, ...more, steer: replay(stream.steering, result) });
  expect(ids(replayed)).toEqual(ids(result));
  expect(replayed.text).toBe(result.text);
  // Restarted for its streams, it did not draw anew: its beginning is that of one that nobody changed.
  const unchanged = await generateText(
    model, PROMPT, { maxNewTokens, ...more, steer: [{ vector: first, schedule: (step) => 1 / (step + 1) }] },
  );
  expect(ids(result).slice(0, CHANGE)).toEqual(ids(unchanged).slice(0, CHANGE));
});

test("what steered is echoed in canonical form", async () => {
  const result = await generateText(
    model, PROMPT,
    {
      maxNewTokens: 3,
      steer: [
        { vector: first, schedule: { kind: "dynamic" }, layers: [0] }, { vector: second, schedule: (step) => step / 2, tail: "stop" },
      ],
    },
  );
  expect(result.steering).toEqual([
    {
      vector: "random 1", layers: [0], heads: "all", tail: "mean", phases: ["answer"],
      schedule: { kind: "dynamic", topP: 0.5, alphaMax: 2, strongAlpha: 2, klReduction: "mean" },
    },
    {
      vector: "random 2", layers: "all", heads: "all", tail: "stop", phases: ["answer"],
      schedule: { kind: "recorded", alphas: [0, 0.5, 1] },
    },
  ]);
  for (const spec of result.steering) expect(steeringSpecSchema.parse(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
});

test("the result of a generation that was read as tokens, as a whole, or left", async () => {
  const stream = generate(model, PROMPT, { maxNewTokens: 5 });
  let text = "";
  for await (const token of stream) text += token.text;
  expect([await stream.text(), (await stream.result()).tokens.length]).toEqual([text, 5]);
  const begun = generate(model, PROMPT, { maxNewTokens: 5 });
  await begun.next();
  expect(await begun.text()).toBe(text);
  const left = generate(model, PROMPT, { maxNewTokens: 5 });
  for await (const _ of left) break;
  await expect(left.text()).rejects.toMatchObject({ code: "E_ABORTED" });
});

test("a schedule that is none, and a vector that says no strength, are refused at once", async () => {
  expect(() => generate(model, PROMPT, { steer: { vector: first, schedule: { kind: "fixed", alpha: NaN } } })).toThrow(
    expect.objectContaining({ code: "E_BAD_SPEC" }),
  );
  expect(() => generate(model, PROMPT, { steer: first })).toThrow(/the vector for random 1 has no schedule/);
  const stream = generate(model, PROMPT, { maxNewTokens: 2, steer: { vector: first, schedule: { kind: "fixed" } } });
  expect(() => { stream.steering[0]!.schedule = { kind: "dynamic", topP: 2 }; }).toThrow(expect.objectContaining({ code: "E_BAD_SPEC" }));
  await expect(stream.add({
    vector: { ...first, provenance: { ...first.provenance, model: { ...first.provenance.model, fileHash: "other" } } },
    schedule: { kind: "fixed" },
  })).rejects.toMatchObject({ code: "E_MODEL_MISMATCH" });
  expect(await stream.text()).not.toBe("");
});

test("a list may hold lists of steerings; an option that does not exist is refused with the nearest name", async () => {
  const [one, two] = [1, 2].map((alpha): Steering => ({ vector: first, schedule: { kind: "fixed", alpha } })) as [Steering, Steering];
  const written = async (steer: SteerInput): Promise<number[]> =>
    (await model.generate(PROMPT, { maxNewTokens: 6, steer }).result()).tokens.map(({ token }) => token);
  expect(await written([[one], [two]])).toEqual(await written([one, two]));
  expect(() => model.generate(PROMPT, { maxTokens: 2 } as GenerateOptions)).toThrow(expect.objectContaining({
    code: "E_BAD_ARGUMENT", message: expect.stringContaining('no option is called "maxTokens"; did you mean maxNewTokens?'),
  }));
});

test("what is changed while a token is under way counts from the token after it", async () => {
  const stream = generate(model, PROMPT, { maxNewTokens: 4, steer: { vector: first, schedule: { kind: "fixed", alpha: 1 } } });
  await stream.next();
  const pending = stream.next();
  stream.steering[0]!.schedule = { kind: "dynamic", topP: 0.9 };
  expect(await pending).toMatchObject({ value: { readings: [{ alpha: 1, kl: null }] } });
  expect(await stream.next()).toMatchObject({ value: { readings: [{ kl: expect.any(Number) }] } });
  const whole = generate(model, PROMPT, { maxNewTokens: 6, steer: { vector: first, schedule: { kind: "fixed", alpha: 1 } } });
  await whole.next();
  const result = whole.result();
  whole.steering[0]!.schedule = { kind: "dynamic", topP: 0.9 };
  for (const { readings: [reading] } of (await result).tokens) expect(reading!.kl !== null || reading!.alpha === 1).toBe(true);
});

test("what was changed, dropped or added on the way is echoed by the alphas that it had", async () => {
  const fixed = (alpha: number) => ({ kind: "fixed" as const, alpha });
  const stream = generate(
    model, PROMPT,
    {
      maxNewTokens: 3,
      steer: [{ vector: first, schedule: fixed(1) }, { vector: second, schedule: fixed(1) }, { vector: second, schedule: fixed(2) }],
    },
  );
  stream.steering[2]!.schedule = fixed(0.5); // before the first token: this is what it begins with
  await stream.next();
  stream.steering[0]!.drop();
  stream.steering[1]!.schedule = fixed(5);
  await stream.add({ vector: first, schedule: fixed(3) });
  const recorded = (...alphas: number[]) => ({ kind: "recorded", alphas });
  expect((await stream.result()).steering.map(({ schedule }) => schedule)).toEqual([
    recorded(1, 0, 0), recorded(1, 5, 5), fixed(0.5), recorded(0, 3, 3),
  ]);
});

test("after its end nothing is added, and its failure stays its failure", async () => {
  const ended = generate(model, PROMPT, { maxNewTokens: 1 });
  await ended.result();
  await expect(ended.add({ vector: first, schedule: { kind: "fixed" } })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
  const huge = await randomVector(model, 3, { nSteps: 1, scale: 3e38 });
  const failed = generate(model, PROMPT, { steer: { vector: huge, schedule: { kind: "fixed" } } });
  await expect(failed.next()).rejects.toMatchObject({ code: "E_NOT_FINITE" });
  await expect(failed.result()).rejects.toMatchObject({ code: "E_NOT_FINITE" });
});

test("an abort after the last token takes nothing away", async () => {
  const abort = new AbortController();
  const stream = generate(model, PROMPT, { maxNewTokens: 1, signal: abort.signal });
  const token = await stream.next();
  abort.abort();
  expect(token).toMatchObject({ value: { text: await stream.text() } });
});

test("what is no vector is refused at once; a prompt of tokens is read as it was given", async () => {
  for (const vector of ["italian.safetensors", undefined, {}]) {
    expect(() => generate(model, PROMPT, { steer: { vector: vector as unknown as VectorData, schedule: { kind: "fixed" } } })).toThrow(
      expect.objectContaining({ code: "E_BAD_SPEC" }),
    );
  }
  const tokens = model.tokenise(PROMPT);
  const stream = generate(model, tokens, { maxNewTokens: 1 });
  tokens.length = 1;
  expect((await stream.result()).promptTokens).toBe(model.tokenise(PROMPT).length);
});

test("replay and compose take what steer takes: one, or many", async () => {
  const steer = { vector: first, schedule: { kind: "diminishing" as const, alpha: 2 } };
  const result = await generateText(model, PROMPT, { maxNewTokens, steer });
  expect(ids(await generateText(model, PROMPT, { maxNewTokens, steer: replay(steer, result) }))).toEqual(ids(result));
  expect(compose([steer, { vector: second, schedule: { kind: "fixed", alpha: 1 } }], steer)).toHaveLength(3);
});
