import { expect, test } from "@jest/globals";
import { deltaPerplexity, perplexity, withFoundAlphas } from "../../lib/generate/perplexity.js";
import { generateText, scoreTokens } from "../../lib/generate/index.js";
import { tinyForFile } from "../support/file-model.js";
import { mean, softmax } from "../support/linear.js";
import { forward } from "../support/reference-forward.js";
import { digits, direction, randomVector, tolerance } from "../support/tiny-files.js";

const { tiny, model } = await tinyForFile();
const PROMPT = "steer";
const GIVEN = [20, 7, 7, 99, 130];

const vector = await randomVector(model, 3, { scale: 2 });

/** log P of each given token by the reference forward pass; `alpha` of each step. */
function reference(continuation: readonly number[], alpha: (step: number) => number): number[] {
  const prompt = model.tokenise(PROMPT);
  const first = prompt.length - 1;
  const { logits } = forward(tiny, [...prompt, ...continuation], (layer, position) =>
    (position < first || position - first >= vector.nSteps ? undefined : direction(
      vector, layer, position - first, alpha(position - first),
    )));
  return continuation.map((token, step) => Math.log(softmax(logits[first + step]!)[token]!));
}

function expectClose(found: readonly number[], expected: readonly number[]): void {
  expect(found).toHaveLength(expected.length);
  found.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(tolerance(2e-5)));
}

test("log probabilities are those of the reference forward pass, unsteered and steered", async () => {
  expectClose(await scoreTokens(model, PROMPT, GIVEN), reference(GIVEN, () => 0));
  const steer = [{ vector, schedule: { kind: "diminishing" as const, alpha: 1.5 }, tail: "stop" as const }];
  const steered = await scoreTokens(model, PROMPT, GIVEN, { steer });
  expectClose(steered, reference(GIVEN, (step) => 1.5 * (1 - step / vector.nSteps)));
  expect(steered).not.toEqual(await scoreTokens(model, PROMPT, GIVEN));
});

test("a generation's own log probabilities are those of its tokens, before the sampler", async () => {
  const options = {
    maxNewTokens: 5, steer: [{ vector, schedule: { kind: "fixed" as const, alpha: 1 } }],
    sampling: { temperature: 0.7, topK: 5, seed: 3, logitBias: { 2: -Infinity } },
  };
  const { tokens } = await generateText(model, PROMPT, { ...options, logProbabilities: true });
  expect(tokens).toHaveLength(5);
  expectClose(
    tokens.map(({ logProbability }) => logProbability!),
    await scoreTokens(model, PROMPT, tokens.map(({ token }) => token), { steer: options.steer }),
  );
  expect((await generateText(model, PROMPT, options)).tokens[0]).not.toHaveProperty("logProbability");
});

test("the perplexity is e to the mean negative log probability, and ΔPPL the difference of two of them", async () => {
  const own = reference(GIVEN, () => 0);
  expect(Math.log(await perplexity(model, PROMPT, GIVEN))).toBeCloseTo(-mean(own), digits(5));
  const steer = [{ vector, schedule: { kind: "fixed" as const, alpha: 1 }, tail: "stop" as const }];
  const expected = Math.exp(-mean(reference(GIVEN, () => 1))) - Math.exp(-mean(own));
  const found = await deltaPerplexity(model, { noIcl: PROMPT, icl: model.tokenise(PROMPT), iclOutput: GIVEN }, { steer });
  expect(Math.abs(found / expected - 1)).toBeLessThan(tolerance(1e-3));
  // Two rows of one batch: as close as 32 bits are.
  const same = await deltaPerplexity(model, { noIcl: PROMPT, icl: PROMPT, iclOutput: GIVEN });
  expect(Math.abs(same / Math.exp(-mean(own)))).toBeLessThan(tolerance(1e-5));
});

test("Dyn's alphas can be replayed: the same alphas, and the tokens that it found are the likeliest", async () => {
  const steer = [{ vector, schedule: { kind: "dynamic" as const, topP: 0.9, klReduction: "sum" as const } }];
  const found = await generateText(model, PROMPT, { steer, maxNewTokens: 8 });
  const replayed = await generateText(model, PROMPT, { steer: withFoundAlphas(steer, found), maxNewTokens: 8 });
  expect(replayed.tokens.map(({ token }) => token)).toEqual(found.tokens.map(({ token }) => token));
  expect(replayed.tokens.map(({ readings }) => readings[0]!.alpha)).toEqual(found.tokens.map(({ readings }) => readings[0]!.alpha));
  expect(found.tokens.some(({ readings }) => readings[0]!.alpha > 0)).toBe(true);
  const fixed = [{ vector, schedule: { kind: "fixed" as const, alpha: 1 } }];
  expect(withFoundAlphas(fixed, found)).toEqual(fixed);
  const ended = withFoundAlphas(
    steer, { tokens: found.tokens.slice(0, 2), endReadings: found.tokens[2]!.readings },
  )[0]!.schedule as { alphas: number[] };
  expect(ended.alphas).toEqual(found.tokens.slice(0, 3).map(({ readings }) => readings[0]!.alpha));
  const beyond = await generateText(
    model, PROMPT, { steer: withFoundAlphas(steer, { tokens: found.tokens.slice(0, 2), endReadings: null }), maxNewTokens: 4 },
  );
  expect(beyond.tokens.map(({ readings }) => readings[0]!.alpha).slice(2)).toEqual([0, 0]);
});

test("scores do not depend on what runs beside them", async () => {
  const alone = await scoreTokens(model, PROMPT, GIVEN);
  const all = await Promise.all([
    scoreTokens(model, PROMPT, GIVEN), generateText(model, "other", { maxNewTokens: 6 }),
    scoreTokens(model, "a longer prompt", GIVEN.slice(1)),
  ]);
  expectClose(all[0], alone);
  expectClose(all[2], await scoreTokens(model, "a longer prompt", GIVEN.slice(1)));
});

test("a prompt of tokens is the prompt of its text", async () => {
  const [text, tokens] = await Promise.all([PROMPT, model.tokenise(PROMPT)].map(
    (prompt) => generateText(model, prompt, { maxNewTokens: 5 }),
  ));
  expect(tokens!.text).toBe(text!.text);
});

test.each<[string, () => Promise<unknown>, string]>([
  ["an empty continuation", () => scoreTokens(model, PROMPT, []), "E_BAD_ARGUMENT"],
  ["a continuation that is a text", () => scoreTokens(model, PROMPT, "text" as unknown as number[]), "E_BAD_ARGUMENT"],
  ["an empty prompt", () => scoreTokens(model, [], GIVEN), "E_BAD_ARGUMENT"],
  ["a token outside the vocabulary", () => scoreTokens(model, PROMPT, [5, 1_000_000]), "E_BAD_TOKEN"],
  ["a negative one", () => scoreTokens(model, PROMPT, [-1]), "E_BAD_TOKEN"],
  ["a prompt with a token outside the vocabulary", () => generateText(model, [1, 1_000_000], { maxNewTokens: 1 }), "E_BAD_TOKEN"],
  ["a fraction of a token", () => scoreTokens(model, [1, 2.5], GIVEN), "E_BAD_ARGUMENT"],
  ["more tokens than the context holds", () => scoreTokens(model, PROMPT, Array.from({ length: 100_000 }, () => 5)), "E_CONTEXT_FULL"],
  ["an abort before it starts", () => scoreTokens(model, PROMPT, GIVEN, { signal: AbortSignal.abort() }), "E_ABORTED"],
])("%s is refused, and what runs beside it is not", async (_, attempt, code) => {
  const beside = generateText(model, PROMPT, { maxNewTokens: 3 });
  await expect(attempt()).rejects.toMatchObject({ code });
  expect((await beside).tokens).toHaveLength(3);
});

test("tokens that the caller changes afterwards are those of the call", async () => {
  const [prompt, given] = [model.tokenise(PROMPT), GIVEN.slice()];
  const scores = scoreTokens(model, prompt, given);
  const text = generateText(model, prompt, { maxNewTokens: 3 });
  prompt.length = 0;
  given.fill(1_000_000);
  expectClose(await scores, reference(GIVEN, () => 0));
  expect((await text).text).toBe((await generateText(model, PROMPT, { maxNewTokens: 3 })).text);
});

test("a text that continues another has no BOS", () => {
  expect(model.tokenise("abc", { bos: false })).toEqual(model.tokenise("abc").slice(1));
});

test("an abort on the way ends the scoring and leaves nothing behind", async () => {
  const abort = new AbortController();
  const long = scoreTokens(model, PROMPT, Array.from({ length: 60 }, (_, i) => i % 90), { signal: abort.signal });
  setTimeout(() => abort.abort(), 2);
  await expect(long).rejects.toMatchObject({ code: "E_ABORTED" });
  expectClose(await scoreTokens(model, PROMPT, GIVEN), reference(GIVEN, () => 0));
});
