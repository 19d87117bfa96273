import { expect, test } from "@jest/globals";
import { replay, type GenerateOptions, type GenerationResult, type Sampling } from "../../lib/index.js";
import { generate, generateText } from "../../lib/generate/index.js";
import { tinyForFile } from "../support/file-model.js";
import { randomVector } from "../support/tiny-files.js";

const { model } = await tinyForFile();
const PROMPT = "sample";
const ids = ({ tokens }: GenerationResult): number[] => tokens.map(({ token }) => token);
const run = (sampling: Sampling, options: GenerateOptions = {}): Promise<GenerationResult> =>
  generateText(model, PROMPT, { maxNewTokens: 16, ...options, sampling });
const textOf = (token: number): string => Buffer.from(model.detokenise([token])).toString("latin1");
const all = Array.from({ length: model.info.nVocab }, (_, token) => token);

test.each<Sampling>([
  {}, { temperature: 1.3 }, { temperature: 1.3, topP: 0.9, typicalP: 0.9, minP: 0.01 }, { presencePenalty: 1, dryMultiplier: 1 },
])(
  "a grammar of letters draws what a logit bias on all other tokens draws: %p", async (sampling) => {
    const others = all.filter((token) => !model.isEndOfGeneration(token) && !/^[a-z ]+$/.test(textOf(token)));
    const logitBias = Object.fromEntries(others.map((token) => [token, -Infinity]));
    expect(others.length).toBeGreaterThan(0);
    for (const seed of [1, 2, 3]) {
      const expected = await run({ ...sampling, seed, logitBias });
      const { text, tokens, finishReason } = await run({ ...sampling, seed, grammar: "root ::= [a-z ]*" });
      expect([tokens.map(({ token }) => token), finishReason]).toEqual([ids(expected), expected.finishReason]);
      expect(text).toMatch(/^[a-z ]*$/);
      expect((await run({ ...sampling, seed })).text).not.toBe(text);
    }
  });

test("the text ends where it is complete, and not before", async () => {
  for (const seed of [1, 2, 3]) {
    const result = await run({ temperature: 2, seed, grammar: "root ::= (\"yes\" | \"no\") [.!]{2}" }, { maxNewTokens: 30 });
    expect([/^(yes|no)[.!]{2}$/.test(result.text), result.finishReason, result.text]).toEqual([true, "end", result.text]);
  }
  const whole = await run(
    { temperature: 2, jsonSchema: { type: "object", properties: { a: { enum: ["x", 1] } }, required: ["a"] } }, { maxNewTokens: 200 },
  );
  expect(Object.keys(JSON.parse(whole.text) as object)).toEqual(["a"]);
});

test("restarts, replay and other generations leave the place in the grammar alone", async () => {
  const vector = await randomVector(model, 1, { nSteps: 8, scale: 1.5 });
  const sampling = { temperature: 1, seed: 4, grammar: "root ::= ([a-z] [0-9])*" };
  const plain = await run(sampling);
  const stream = generate(model, PROMPT, { maxNewTokens: 16, sampling, steer: { vector, schedule: { kind: "fixed", alpha: 0 } } });
  for (let i = 0; i < 5; i++) await stream.next();
  stream.steering[0]!.schedule = { kind: "dynamic", alphaMax: 0 };
  expect(ids(await stream.result())).toEqual(ids(plain));
  const steer = { vector, schedule: { kind: "dynamic", topP: 0.5 } } as const;
  const steered = await run(sampling, { steer });
  expect(steered.text).toMatch(/^([a-z][0-9])*[a-z]?$/);
  expect(ids(steered)).not.toEqual(ids(plain));
  expect(ids(await run(sampling, { steer: replay(steer, steered) }))).toEqual(ids(steered));
  const both = await Promise.all([run(sampling), run({ ...sampling, seed: 5 }), run(sampling)]);
  expect([ids(both[0]), ids(both[2])]).toEqual([ids(plain), ids(plain)]);
});

test.each<[string, Sampling]>([
  ["not a grammar", { grammar: "root ::= (" }], ["both", { grammar: "root ::= \"a\"", jsonSchema: {} }],
  ["not a schema", { jsonSchema: 5 }],
  ["a dead end", { grammar: "root ::= \"a\" x\nx ::= x" }], ["a text that no token writes", { jsonSchema: null }],
])("%s is E_BAD_GRAMMAR, and the model goes on", async (_, sampling) => {
  await expect(run(sampling)).rejects.toMatchObject({ code: "E_BAD_GRAMMAR" });
  expect((await run({ grammar: "root ::= \"ok\"" })).text).toBe("ok");
});

test("a bias that forbids what the grammar needs is an error", async () => {
  const logitBias = Object.fromEntries(all.filter((token) => textOf(token).startsWith("o")).map((token) => [token, -Infinity]));
  await expect(run({ grammar: "root ::= \"ok\"", logitBias })).rejects.toMatchObject({ code: "E_NOT_FINITE" });
});
