import { describe, expect, test } from "@jest/globals";
import { replay, type GenerateOptions, type GenerationResult, type Sampling } from "../../lib/index.js";
import { Batch } from "../../lib/engine/index.js";
import { generate, generateText } from "../../lib/generate/index.js";
import { tinyForFile } from "../support/file-model.js";
import { softmax } from "../support/linear.js";
import { randomVector } from "../support/tiny-files.js";

const { model } = await tinyForFile();
const PROMPT = "sample sample sample";
const ALL_ON: Sampling = {
  temperature: 1.4, seed: 5, repeatPenalty: 1.2, presencePenalty: 0.4, frequencyPenalty: 0.3, dryMultiplier: 0.8, topNSigma: 3, topK: 60,
  typicalP: 0.95, topP: 0.98, minP: 0.001, xtcProbability: 0.5, xtcThreshold: 0.05, logitBias: { 7: 1 },
};
const OFF: Sampling = {
  repeatPenalty: 1, presencePenalty: 0, frequencyPenalty: 0, dryMultiplier: 0, topNSigma: 0, topK: 0, typicalP: 1, topP: 1, minP: 0,
  xtcProbability: 0, logitBias: {},
};

const ids = ({ tokens }: GenerationResult): number[] => tokens.map(({ token }) => token);
const run = async (sampling: Sampling, options: GenerateOptions = {}): Promise<number[]> =>
  ids(await generateText(model, PROMPT, { maxNewTokens: 24, ...options, sampling }));

/** The model's logits after these tokens. */
async function logitsAfter(tokens: readonly number[]): Promise<number[]> {
  using context = await model.createContext({ nCtx: 128, nSeqMax: 1 });
  const batch = new Batch();
  const rows = tokens.map((token, position) => batch.add(token, position, 0, { output: position === tokens.length - 1 }));
  await context.decode(batch);
  return Array.from(context.logits(rows.at(-1)!));
}

/** The likeliest tokens one after the other, where `penalty` is what a token's logit loses after the tokens so far. */
async function expected(penalty: (token: number, logit: number, history: readonly number[]) => number, n: number): Promise<number[]> {
  const tokens = model.tokenise(PROMPT);
  const nPrompt = tokens.length;
  while (tokens.length < nPrompt + n) {
    const logits = (await logitsAfter(tokens)).map((logit, token) => logit - penalty(token, logit, tokens));
    const likeliest = logits.indexOf(Math.max(...logits));
    tokens.push(likeliest);
    if (model.isEndOfGeneration(likeliest)) return tokens.slice(nPrompt, -1);
  }
  return tokens.slice(nPrompt);
}

const count = (token: number, history: readonly number[]): number => history.filter((each) => each === token).length;

/** The longest run of tokens at the end of the history that also stands before an earlier `token`; it does not reach across a breaker. */
function repeated(token: number, history: readonly number[], isBreaker: (token: number) => boolean): number {
  const lengths = history.map((each, at) => {
    if (each !== token) return 0;
    let n = 0;
    while (n < at && history[at - 1 - n] === history[history.length - 1 - n] && !isBreaker(history[history.length - 1 - n]!)) n++;
    return n;
  });
  return Math.max(0, ...lengths);
}

describe("each penalty is what its definition says", () => {
  const N = 20;
  const greedy = async (sampling: Sampling): Promise<number[]> => run(sampling, { maxNewTokens: N });
  /** The model then picks among a few tokens, and so repeats sequences. */
  const few = Object.fromEntries(model.tokenise("see test").map((token) => [token, 20]));

  test("presence and frequency penalties", async () => {
    const plain = await greedy({});
    const presence = await greedy({ presencePenalty: 2 });
    expect(presence).toEqual(await expected((token, _, history) => (history.slice(-64).includes(token) ? 2 : 0), N));
    const frequency = await greedy({ frequencyPenalty: 0.7, repeatLastN: 9 });
    expect(frequency).toEqual(await expected((token, _, history) => 0.7 * count(token, history.slice(-9)), N));
    const all = await greedy({ repeatPenalty: 1.5, presencePenalty: 0.5, frequencyPenalty: 0.2 });
    expect(all).toEqual(await expected((token, logit, history) => {
      const n = count(token, history.slice(-64));
      return n === 0 ? 0 : logit - (logit > 0 ? logit / 1.5 : logit * 1.5) + 0.5 + 0.2 * n;
    }, N));
    for (const changed of [presence, frequency, all]) expect(changed).not.toEqual(plain);
    expect(await greedy({ presencePenalty: -5, repeatLastN: 1 })).not.toEqual(plain); // a reward
    expect(await greedy({ presencePenalty: 5, frequencyPenalty: 5, repeatLastN: 0 })).toEqual(plain);
  });

  test.each([
    [{ dryMultiplier: 2, dryBase: 1.5, dryAllowedLength: 1 }, []],
    [{ dryMultiplier: 0.5, dryBase: 3, dryAllowedLength: 2, dryLastN: 12 }, []],
    [{ dryMultiplier: 3, dryBase: 1, dryAllowedLength: 1 }, ["e"]],
  ])("DRY: %p with breakers %p", async (dry, drySequenceBreakers) => {
    const { dryMultiplier, dryBase, dryAllowedLength, dryLastN = 64 } = dry as { dryLastN?: number } & typeof dry;
    const text = (token: number): string => new TextDecoder().decode(model.detokenise([token]));
    const isBreaker = (token: number): boolean => drySequenceBreakers.some((breaker) => text(token).includes(breaker));
    const penalised = await greedy({ ...dry, drySequenceBreakers, logitBias: few });
    expect(penalised).toEqual(await expected((token, _, history) => {
      const n = repeated(token, history.slice(-dryLastN), isBreaker);
      const penalty = n < dryAllowedLength || isBreaker(token) ? 0 : dryMultiplier * dryBase ** (n - dryAllowedLength);
      return penalty - (few[token] ?? 0);
    }, N));
    expect(penalised).not.toEqual(await greedy({ logitBias: few }));
  });

  test("breakers end a sequence", async () => {
    const dry = { dryMultiplier: 3, dryBase: 1, dryAllowedLength: 1, logitBias: few };
    expect(await greedy({ ...dry, drySequenceBreakers: ["e"] })).not.toEqual(await greedy({ ...dry, drySequenceBreakers: [] }));
    expect(await greedy({ ...dry, dryLastN: 0 })).toEqual(await greedy({ logitBias: few }));
  });
});

describe("each filter keeps the tokens that it should", () => {
  /** The tokens that come first over many seeds. */
  async function firsts(sampling: Sampling): Promise<number[]> {
    const draws = Array.from({ length: 300 }, (_, seed) => run({ temperature: 3, ...sampling, seed }, { maxNewTokens: 1 }));
    return [...new Set((await Promise.all(draws)).flat())];
  }

  test.each<[string, Sampling, (logits: readonly number[], p: readonly number[]) => number[]]>([
    ["typicalP", { typicalP: 0.3 }, (_, p) => typical(p, 0.3)],
    ["typicalP with a forbidden token", { typicalP: 0.3, logitBias: { 5: -Infinity } }, (logits) =>
      typical(softmax(logits.map((logit, token) => (token === 5 ? -1e9 : logit))), 0.3)],
    ["topNSigma", { topNSigma: 1 }, (logits) => {
      const mean = logits.reduce((sum, logit) => sum + logit, 0) / logits.length;
      const sigma = Math.sqrt(logits.reduce((sum, logit) => sum + (logit - mean) ** 2, 0) / logits.length);
      return indices(logits).filter((token) => logits[token]! >= Math.max(...logits) - sigma);
    }],
    ["XTC", { xtcProbability: 1, xtcThreshold: 0.01 }, (_, p) => {
      const likely = indices(p).filter((token) => p[token]! >= 0.01).sort((a, b) => p[b]! - p[a]!);
      return indices(p).filter((token) => !likely.slice(0, -1).includes(token));
    }],
  ])("%s", async (_, sampling, kept) => {
    const logits = await logitsAfter(model.tokenise(PROMPT));
    const allowed = kept(logits, softmax(logits));
    const seen = await firsts(sampling);
    expect(seen.filter((token) => !allowed.includes(token))).toEqual([]);
    expect(seen.length).toBeGreaterThan(1);
    const unfiltered = await firsts({ ...sampling, typicalP: 1, topNSigma: 0, xtcProbability: 0 });
    expect(unfiltered.some((token) => !allowed.includes(token))).toBe(true); // there was something to filter
  });

  const indices = (values: readonly unknown[]): number[] => values.map((_, index) => index);

  /** The tokens closest to the expected surprise, until their probabilities exceed `limit`. */
  function typical(p: readonly number[], limit: number): number[] {
    const entropy = -p.reduce((sum, each) => sum + (each === 0 ? 0 : each * Math.log(each)), 0);
    const byDistance = indices(p).sort((a, b) => Math.abs(-Math.log(p[a]!) - entropy) - Math.abs(-Math.log(p[b]!) - entropy));
    let sum = 0;
    return byDistance.filter((token) => { const isKept = sum <= limit; sum += p[token]!; return isKept; });
  }
});

describe("what is off changes nothing", () => {
  test.each(Object.keys(OFF) as Array<keyof typeof OFF>)("%s", async (name) => {
    const { [name]: on, ...without } = ALL_ON;
    expect(on).toBeDefined();
    const result = await run(without);
    expect(await run({ ...without, [name]: OFF[name] })).toEqual(result);
    expect(await run({ [name]: OFF[name] })).toEqual(await run({}));
  });

  test("penalties count what a restart repeats once only, and replay draws the same", async () => {
    const vector = await randomVector(model, 1, { nSteps: 8, scale: 1.5 });
    const options = { maxNewTokens: 24, sampling: ALL_ON };
    const plain = await run(ALL_ON);
    const stream = generate(model, PROMPT, { ...options, steer: { vector, schedule: { kind: "fixed", alpha: 0 } } });
    for (let i = 0; i < 8; i++) await stream.next();
    stream.steering[0]!.schedule = { kind: "dynamic", alphaMax: 0 }; // needs two more streams, so the steps are computed again
    expect(ids(await stream.result())).toEqual(plain);
    const steer = { vector, schedule: { kind: "dynamic", topP: 0.5 } } as const;
    const steered = await generateText(model, PROMPT, { ...options, steer });
    expect(ids(steered)).not.toEqual(plain);
    expect(await run(ALL_ON, { steer: replay(steer, steered) })).toEqual(ids(steered));
  });

  test("one generation's history is not another's", async () => {
    const both = await Promise.all([1, 2, 1].map((seed) => run({ ...ALL_ON, seed })));
    expect(both[2]).toEqual(both[0]);
    expect(both[1]).not.toEqual(both[0]);
  });
});

test("filters that leave no token are an error", async () => {
  const logitBias = Object.fromEntries(Array.from({ length: model.info.nVocab }, (_, token) => [token, -Infinity]));
  await expect(run({ ...ALL_ON, logitBias })).rejects.toMatchObject({ code: "E_NOT_FINITE" });
});

test.each<[string, Sampling]>([
  ["presencePenalty", { presencePenalty: NaN }], ["frequencyPenalty", { frequencyPenalty: Infinity }],
  ["dryMultiplier", { dryMultiplier: -1 }],
  ["dryBase", { dryBase: 0.5 }], ["dryAllowedLength", { dryAllowedLength: 0 }], ["dryLastN", { dryLastN: -1 }],
  ["typicalP", { typicalP: 0 }],
  ["drySequenceBreakers.0", { drySequenceBreakers: [""] }], ["drySequenceBreakers.0", { drySequenceBreakers: ["x".repeat(41)] }],
  ["drySequenceBreakers", { drySequenceBreakers: new Array<string>(17).fill("a") }], ["topNSigma", { topNSigma: -1 }],
  ["xtcProbability", { xtcProbability: 2 }], ["xtcThreshold", { xtcThreshold: -0.1 }],
])("a bad %s is refused", async (name, sampling) => {
  await expect(run(sampling)).rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: expect.stringContaining(name) });
});
