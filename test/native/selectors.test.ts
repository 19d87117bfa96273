import { afterEach, describe, expect, jest, test } from "@jest/globals";
import {
  replay, type GenerateOptions, type GenerationResult, type Only, type ScheduleInput, type Steering,
} from "../../lib/index.js";
import { Context, type StepResult } from "../../lib/engine/index.js";
import { generate, generateText, scoreTokens } from "../../lib/generate/index.js";
import { dynamic, expectSame } from "../support/dyn-requests.js";
import { tinyForFile } from "../support/file-model.js";
import { digits, loadArchitecture, randomVector } from "../support/tiny-files.js";

afterEach(() => { jest.restoreAllMocks(); });

const { space, model } = await tinyForFile();
const N_TOKENS = 24;
const PROMPT = "select";
/** Only these are written: a token is a byte. */
const WRITTEN = [..."ab \n"].map((character) => 3 + character.charCodeAt(0));
const logitBias = Object.fromEntries(Array.from({ length: model.info.nVocab }, (_, token) => token)
  .filter((token) => !WRITTEN.includes(token)).map((token) => [token, -Infinity]));
const sampling = { logitBias, temperature: 2, seed: 7 };
const vector = await randomVector(model, 1, { site: "resid_post", nSteps: 1, scale: 1 });
const fixed: ScheduleInput = { kind: "fixed", alpha: 0.5 };

const run = (steer: Steering | Steering[], more: GenerateOptions = {}): Promise<GenerationResult> =>
  generateText(model, PROMPT, { steer, maxNewTokens: N_TOKENS, sampling, logProbabilities: true, ...more });
const texts = ({ tokens }: GenerationResult): string[] => tokens.map(({ token }) => String.fromCharCode(token - 3));
const isSteered = ({ tokens }: GenerationResult): boolean[] => tokens.map(({ readings }) => readings[0]!.alpha !== 0);

/** Which steps are selected, given the texts of the tokens before each. */
const CASES: Array<[string, Only, (before: string[], step: number) => boolean]> = [
  ["from and to", { from: 3, to: 6 }, (_, step) => step >= 3 && step < 6],
  ["from", { from: 20 }, (_, step) => step >= 20],
  ["the first tokens of words", { words: "first" }, (before) => {
    const [last, previous] = [before.at(-1), before.at(-2)];
    return last === undefined || previous === undefined || /\s/.test(last) || /\s/.test(previous);
  }],
  ["since a text", { since: "b" }, (before) => before.includes("b")],
  ["all of them", { from: 2, words: "first", since: "a" }, (before, step) => step >= 2 && before.includes("a")
    && (/\s/.test(before.at(-1)!) || /\s/.test(before.at(-2)!))],
];

describe.each(CASES)("%s", (_, only, isSelected) => {
  test.each([["fixed", fixed], ["dyn", dynamic({ topP: 1, klReduction: "sum" })]] as Array<[string, ScheduleInput]>)(
    "%s: steered there and nowhere else; the pipeline and a replay give the same, and a score", async (kind, schedule) => {
      const steering = { vector, schedule, only };
      const result = await run(steering, { pipeline: "off" });
      const expected = texts(result).map((_each, step, all) => isSelected(all.slice(0, step), step));
      expect(isSteered(result)).toEqual(expected);
      expect([expected.includes(true), expected.includes(false)]).toEqual([true, true]);
      if (kind === "dyn") expect(result.tokens.map(({ readings }) => readings[0]!.kl !== null)).toEqual(expected);
      expectSame(await run(steering, { pipeline: "on" }), result);
      const again = await run(replay(steering, result));
      expect(again.tokens.map(({ token, readings }) => [token, readings[0]!.alpha]))
        .toEqual(result.tokens.map(({ token, readings }) => [token, readings[0]!.alpha]));
      const tokens = result.tokens.map(({ token }) => token);
      const [scored, plain] = [await scoreTokens(model, PROMPT, tokens, { steer: steering }), await scoreTokens(model, PROMPT, tokens)];
      scored.forEach((score, i) => expect(score).toBeCloseTo(result.tokens[i]!.logProbability!, digits(4)));
      expect(scored).not.toEqual(plain);
    },
  );
});

test("a vector added in between knows the text before it", async () => {
  const { tokens } = await run([]);
  const text = tokens.map(({ token }) => String.fromCharCode(token - 3)).join("");
  const stream = generate(model, PROMPT, { maxNewTokens: N_TOKENS, sampling });
  for (let i = 0; i < 8; i++) await stream.next();
  await stream.add({ vector, schedule: fixed, only: { since: text.slice(2, 6) } });
  const result = await stream.result();
  expect(result.tokens.slice(8).every(({ readings }) => readings[0]!.alpha === 0.5)).toBe(true);
  expect(result.tokens.slice(0, 8).every(({ readings }) => readings.length === 0)).toBe(true);
});

test.each(["lfm2", "llama"])("%s: one that is added between the decodes of a token begins at the next", async (name) => {
  const own = await loadArchitecture(space, name);
  const added = await randomVector(own, 1, { site: "resid_post", nSteps: 1, scale: 1 });
  const steer = { vector: added, schedule: dynamic() };
  const stream = generate(own, [1, 70, 103], { steer, maxNewTokens: 6, sampling: { logitBias: { 2: -Infinity } }, pipeline: "off" });
  await stream.next();
  const { decode } = Context.prototype;
  let nAdded = 0;
  jest.spyOn(Context.prototype, "decode").mockImplementation(async function (this: Context, ...given): Promise<StepResult> {
    const result = await decode.apply(this, given);
    if (nAdded++ === 0) await stream.add({ vector: added, schedule: fixed, only: { words: "first" } });
    return result;
  });
  const { tokens, work } = await stream.result();
  expect(tokens.map(({ readings }) => readings.length)).toEqual([1, 1, 2, 2, 2, 2]);
  expect(work.decodes).toBe(2 * 6);
  own.dispose();
});
