import { describe, expect, test } from "@jest/globals";
import type { GenerationResult, GenerationStream, KlReduction, VectorData } from "../../lib/index.js";
import { generate, generateText } from "../../lib/generate/index.js";
import { Batch } from "../../lib/engine/index.js";
import { tinyForFile } from "../support/file-model.js";
import { softmax } from "../support/linear.js";
import { forward } from "../support/reference-forward.js";
import { digits, direction, randomVector } from "../support/tiny-files.js";

const { tiny, model } = await tinyForFile({ threads: 2 }); // the other files use one
const PROMPT = "steer";

/** The fewest most likely tokens whose probability passes topP, by sorting everything. */
function topSet(probabilities: number[], topP: number): number[] {
  const order = probabilities.map((_, token) => token).sort((a, b) => probabilities[b]! - probabilities[a]! || a - b);
  let total = 0;
  const kept: number[] = [];
  for (const token of order) {
    kept.push(token);
    total += probabilities[token]!;
    if (total > topP) break;
  }
  return kept;
}

/** KL(P || S) over the union of the top sets, written from docs/method.md §4. */
function referenceKl(pLogits: ArrayLike<number>, sLogits: ArrayLike<number>, topP: number, reduction: KlReduction): number {
  const [p, s] = [softmax(pLogits), softmax(sLogits)];
  const q = [...new Set([...topSet(p, topP), ...topSet(s, topP)])];
  const [pMass, sMass] = [p, s].map((list) => q.reduce((sum, token) => sum + list[token]!, 0)) as [number, number];
  const kl = q.reduce((sum, token) => sum + (p[token]! / pMass) * Math.log(p[token]! / pMass / (s[token]! / sMass)), 0);
  return reduction === "mean" ? kl / q.length : kl;
}

function arrayMax(values: Float64Array): number {
  return values.indexOf(Math.max(...values));
}

interface ReferenceProperty {
  vector: VectorData;
  topP: number;
  klReduction: KlReduction;
  /** The step from which it is measured and added. */
  from?: number;
}

/** Dyn without a KV cache: every stream recomputes its whole sequence at every step, from docs/method.md §4 and §5. */
function referenceDynamic(prompt: number[], properties: ReferenceProperty[], nTokens: number): {
  tokens: number[]; alphas: number[][]; kls: number[][]
} {
  const first = prompt.length - 1;
  const tokens = [...prompt];
  const alphas: number[][] = [];
  const kls: number[][] = [];
  for (let step = 0; step < nTokens; step++) {
    const last = first + step;
    const baseline = forward(tiny, tokens).logits[last]!;
    kls.push(properties.map(({ vector, topP, klReduction, from = 0 }) => {
      if (step < from) return 0;
      const strong = forward(
        tiny, tokens, (layer, position) => position < first + from ? undefined : direction(vector, layer, position - first, 2),
      ).logits[last]!;
      return referenceKl(baseline, strong, topP, klReduction);
    }));
    alphas.push(kls[step]!.map((kl) => Math.min(2, Math.max(0, kl))));
    const output = forward(tiny, tokens, (layer, position) => {
      if (position < first) return undefined;
      const sum = new Float64Array(properties[0]!.vector.width);
      properties.forEach(
        ({ vector }, j) => direction(vector, layer, position - first, alphas[position - first]![j]!)!.forEach(
          (value, i) => { sum[i]! += value; },
        ),
      );
      return sum;
    }).logits[last]!;
    tokens.push(arrayMax(output));
  }
  return { tokens: tokens.slice(prompt.length), alphas, kls };
}

describe("Dyn against a reference that recomputes everything", () => {
  for (const klReduction of ["mean", "sum"] as const) {
    test.each([0.5, 0.9])(`one property, p=%p, ${klReduction}`, async (topP) => {
      const vector = await randomVector(model, 11, { nSteps: 8, scale: 1 });
      const result = await generateText(
        model, PROMPT, { maxNewTokens: 8, steer: [{ vector, schedule: { kind: "dynamic", topP, klReduction } }] },
      );
      const expected = referenceDynamic(model.tokenise(PROMPT), [{ vector, topP, klReduction }], 8);
      expect(result.tokens.map(({ token }) => token)).toEqual(expected.tokens);
      result.tokens.forEach(({ readings }, step) => {
        expect(readings[0]!.kl).toBeCloseTo(expected.kls[step]![0]!, digits(4));
        expect(readings[0]!.alpha).toBeCloseTo(expected.alphas[step]![0]!, digits(4));
      });
      expect(Math.max(...expected.kls.flat())).toBeGreaterThan(0.05); // there was something to measure
    });
  }

  test("three properties, each with its own stream and alpha", async () => {
    const vectors = await Promise.all([21, 22, 23].map((seed) => randomVector(model, seed, { nSteps: 6, scale: 1 })));
    const settings = [0.4, 0.6, 0.9];
    const result = await generateText(model, PROMPT, {
      maxNewTokens: 6,
      steer: vectors.map(
        (vector, j) => ({ vector, schedule: { kind: "dynamic" as const, topP: settings[j]!, klReduction: "sum" as const } }),
      ),
    });
    const expected = referenceDynamic(
      model.tokenise(PROMPT), vectors.map((vector, j) => ({ vector, topP: settings[j]!, klReduction: "sum" })), 6,
    );
    expect(result.tokens.map(({ token }) => token)).toEqual(expected.tokens);
    result.tokens.forEach(
      ({ readings }, step) => readings.forEach(({ alpha }, j) => expect(alpha).toBeCloseTo(expected.alphas[step]![j]!, digits(4))),
    );
  });
});

describe("Dyn that begins in the midst of a generation", () => {
  const settings = { topP: 0.9, klReduction: "sum" as const };
  const schedule = { kind: "dynamic" as const, ...settings };

  /** Read some tokens, change something, read the rest. */
  async function changedAfter(
    nTokens: number, stream: GenerationStream, change: (stream: GenerationStream) => unknown,
  ): Promise<GenerationResult> {
    for (let i = 0; i < nTokens; i++) await stream.next();
    await change(stream);
    return stream.result();
  }

  test("a vector that is added later: measured against streams without it before", async () => {
    const [early, late] = [
      await randomVector(model, 31, { nSteps: 8, scale: 1 }), await randomVector(model, 32, { nSteps: 8, scale: 1 }),
    ] as const;
    const result = await changedAfter(
      3, generate(model, PROMPT, { maxNewTokens: 8, steer: { vector: early, schedule } }),
      (stream) => stream.add({ vector: late, schedule }),
    );
    const expected = referenceDynamic(model.tokenise(PROMPT), [{ vector: early, ...settings }, { vector: late, ...settings, from: 3 }], 8);
    expect(result.tokens.map(({ token }) => token)).toEqual(expected.tokens);
    result.tokens.forEach(({ readings }, step) => {
      expect(readings).toHaveLength(step < 3 ? 1 : 2);
      readings.forEach(({ alpha }, j) => expect(alpha).toBeCloseTo(expected.alphas[step]![j]!, digits(4)));
    });
    expect(Math.max(...expected.alphas.map((alphas) => alphas[1]!))).toBeGreaterThan(0.05);
  });

  test("in a generation that nothing measured, by another schedule", async () => {
    const vector = await randomVector(model, 33, { nSteps: 8, scale: 1 });
    const result = await changedAfter(
      2, generate(model, PROMPT, { maxNewTokens: 8, steer: { vector, schedule: { kind: "fixed", alpha: 0 } } }),
      ({ steering }) => { steering[0]!.schedule = schedule; },
    );
    const expected = referenceDynamic(model.tokenise(PROMPT), [{ vector, ...settings, from: 2 }], 8);
    expect(result.tokens.map(({ token }) => token)).toEqual(expected.tokens);
    result.tokens.forEach(({ readings }, step) => expect(readings[0]!.alpha).toBeCloseTo(expected.alphas[step]![0]!, digits(4)));
  });
});

describe("other schedules against the reference", () => {
  test.each([
    ["fixed", () => 1.5],
    ["start", (step: number) => (step === 0 ? 1.5 : 0)],
    ["diminishing", (step: number) => 1.5 * (1 - step / 6)],
  ] as const)("%s", async (kind, alphaOf) => {
    const vector = await randomVector(model, 31, { nSteps: 6, scale: 1 });
    const result = await generateText(model, PROMPT, { maxNewTokens: 6, steer: [{ vector, schedule: { kind, alpha: 1.5 } }] });
    const prompt = model.tokenise(PROMPT);
    const first = prompt.length - 1;
    const tokens = [...prompt];
    for (let step = 0; step < 6; step++) {
      const { logits } = forward(
        tiny, tokens,
        (layer, position) => position < first ? undefined : direction(vector, layer, position - first, alphaOf(position - first)),
      );
      tokens.push(arrayMax(logits.at(-1)!));
    }
    expect(result.tokens.map(({ token }) => token)).toEqual(tokens.slice(prompt.length));
    result.tokens.forEach(({ readings }, step) => expect(readings[0]).toEqual({ alpha: alphaOf(step), kl: null }));
  });

  test("beyond the last step: the mean, the last step, or nothing", async () => {
    const vector = await randomVector(model, 41, { nSteps: 2, scale: 2 });
    const texts = await Promise.all((["mean", "hold", "stop"] as const).map(async (tail) =>
      (await generateText(
        model, PROMPT, { maxNewTokens: 12, steer: [{ vector, schedule: { kind: "fixed", alpha: 3 }, tail }] },
      )).tokens.map(({ token }) => token)));
    for (const tokens of texts) expect(tokens.slice(0, 2)).toEqual(texts[0]!.slice(0, 2));
    expect(new Set(texts.map(String)).size).toBe(3);
  });
});

test("KL of random rows of a wide range agrees with sorting everything", async () => {
  using context = await model.createContext({ nCtx: 64, nSeqMax: 16 });
  const eightRows = (): Batch => {
    context.kvClear();
    const batch = new Batch();
    for (let row = 0; row < 8; row++) batch.add(3 + row * 17, 0, row, { output: true });
    return batch;
  };
  await context.decode(eightRows());
  const rows = Array.from({ length: 8 }, (_, row) => context.logits(row));
  for (const topP of [0.01, 0.3, 0.5, 0.95, 0.999, 1]) {
    for (const klReduction of ["mean", "sum"] as const) {
      const batch = eightRows();
      rows.slice(1).forEach((_, index) => batch.measure({ baseline: index, strong: index + 1, topP, alphaMax: 2, klReduction }));
      const { alphas } = await context.decode(batch);
      alphas.forEach(({ kl, alpha }, index) => {
        expect(kl).toBeCloseTo(referenceKl(rows[index]!, rows[index + 1]!, topP, klReduction), digits(5));
        expect(alpha).toBe(Math.min(2, Math.max(0, kl)));
      });
    }
  }
});
