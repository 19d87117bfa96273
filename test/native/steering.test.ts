import { describe, expect, test } from "@jest/globals";
import { Batch, type Context, type Term } from "../../lib/engine/index.js";
import type { VectorHandle } from "../../lib/native/index.js";
import { tinyForFile } from "../support/file-model.js";
import { forward } from "../support/reference-forward.js";
import { direction, loadTiny, maxDifference, randomVector, tolerance } from "../support/tiny-files.js";

// F32 weights and KV, no flash attention: what differs from the double-precision reference is float rounding alone.
const ROUNDING = tolerance(5e-5);

const { space, tiny, model } = await tinyForFile();
const TOKENS = [1, 70, 103, 35, 118, 200];

const vector = await randomVector(model, 5);
const other = await randomVector(model, 6);

/** Logits of every row of one decode of the whole sequence, with terms per position. */
async function logitsOf(context: Context, terms: (position: number) => Term[] = () => []): Promise<Float32Array[]> {
  context.kvClear();
  const batch = new Batch();
  TOKENS.forEach((token, position) => batch.add(token, position, 0, { output: true, terms: terms(position) }));
  await context.decode(batch);
  return TOKENS.map((_, row) => context.logits(row));
}

async function withContext<T>(work: (context: Context, first: VectorHandle, second: VectorHandle) => Promise<T>, on = model): Promise<T> {
  using context = await on.createContext({ nCtx: 128, nSeqMax: 16 });
  return await work(context, on.vectorHandle(vector), on.vectorHandle(other));
}

describe("the engine against a forward pass in double precision", () => {
  test("unsteered logits", () => withContext(async (context) => {
    const { logits } = forward(tiny, TOKENS);
    const ours = await logitsOf(context);
    ours.forEach((row, position) => expect(maxDifference(row, logits[position]!)).toBeLessThan(ROUNDING));
  }));

  test("alpha · delta is added to W_O's input in every layer, at its position and step only", () => withContext(async (context, first) => {
    const alphas = [0, 0, 1.5, -1, 0, 2];
    const { logits } = forward(tiny, TOKENS, (layer, position) => direction(vector, layer, position % 4, alphas[position]!));
    const ours = await logitsOf(context, (position) => [{ vector: first, step: position % 4, alpha: alphas[position]! }]);
    ours.forEach((row, position) => expect(maxDifference(row, logits[position]!)).toBeLessThan(ROUNDING));
    const unsteered = forward(tiny, TOKENS).logits;
    expect(maxDifference(unsteered[1]!, logits[1]!)).toBe(0);
    expect(maxDifference(unsteered[2]!, logits[2]!)).toBeGreaterThan(0.1);
  }));

  test("a vector of some layers leaves the others alone", async () => {
    const part = await randomVector(model, 9, { layers: [0, 2] });
    using context = await model.createContext({ nCtx: 128, nSeqMax: 16 });
    const id = model.vectorHandle(part);
    const { logits } = forward(tiny, TOKENS, (layer, position) => direction(part, layer, 1, position));
    const ours = await logitsOf(context, (position) => [{ vector: id, step: 1, alpha: position }]);
    ours.forEach((row, position) => expect(maxDifference(row, logits[position]!)).toBeLessThan(ROUNDING));
  });

  test("the step after the last is the mean of the steps", () => withContext(async (context, first) => {
    const mean = (layer: number): Float64Array => {
      const sum = new Float64Array(vector.width);
      for (let step = 0; step < vector.nSteps; step++) direction(vector, layer, step, 1 / vector.nSteps)!.forEach(
        (value, i) => { sum[i]! += value; },
      );
      return sum;
    };
    const { logits } = forward(tiny, TOKENS, (layer) => mean(layer));
    const ours = await logitsOf(context, () => [{ vector: first, step: vector.nSteps, alpha: 1 }]);
    ours.forEach((row, position) => expect(maxDifference(row, logits[position]!)).toBeLessThan(ROUNDING));
  }));

  test("captured activations are the input of W_O, weighted and summed per step", () => withContext(async (context) => {
    const { headOut } = forward(tiny, TOKENS);
    const into = model.createCapture("head_out", [0, 1, 2], 2);
    const batch = new Batch();
    TOKENS.forEach(
      (token, position) => batch.add(
        token, position, 0, { output: true, ...(position >= 3 ? { capture: { into, step: position % 2, weight: position } } : {}) },
      ),
    );
    await context.decode(batch);
    const { sums, weights } = model.takeCapture(into);
    const [nLayer, width] = [3, 32];
    expect(sums).toHaveLength(nLayer * 2 * width);
    expect(Array.from(weights)).toEqual([4, 3 + 5]);
    for (let layer = 0; layer < nLayer; layer++) {
      const even = headOut[layer]![4]!.map((value) => 4 * value);
      const odd = headOut[layer]![3]!.map((value, i) => 3 * value + 5 * headOut[layer]![5]![i]!);
      expect(maxDifference(sums.subarray(layer * 2 * width, (layer * 2 + 1) * width), even)).toBeLessThan(ROUNDING);
      expect(maxDifference(sums.subarray((layer * 2 + 1) * width, (layer * 2 + 2) * width), odd)).toBeLessThan(ROUNDING);
    }
  }));

  test("flash attention and an F16 cache stay within half-precision rounding", async () => {
    const { model: half } = await loadTiny(space, { flashAttention: true, kvType: "f16" });
    await withContext(async (context, first) => {
      const { logits } = forward(tiny, TOKENS, (layer) => direction(vector, layer, 2, 1));
      const ours = await logitsOf(context, () => [{ vector: first, step: 2, alpha: 1 }]);
      ours.forEach((row, position) => expect(maxDifference(row, logits[position]!)).toBeLessThan(0.05));
    }, half);
    half.dispose();
  });
});

describe("identities, bit for bit", () => {
  test("alpha 0 is unsteered", () => withContext(async (context, first) => {
    const unsteered = await logitsOf(context);
    expect(await logitsOf(context, () => [{ vector: first, step: 0, alpha: 0 }])).toEqual(unsteered);
  }));

  test("composition does not depend on the order of terms", () => withContext(async (context, first, second) => {
    const a = { vector: first, step: 0, alpha: 1.1 };
    const b = { vector: second, step: 1, alpha: -0.7 };
    const c = { vector: first, step: 2, alpha: 0.3 };
    expect(await logitsOf(context, () => [a, b, c])).toEqual(await logitsOf(context, () => [c, b, a]));
  }));

  test("a vector and its opposite cancel", () => withContext(async (context, first) => {
    const terms = [{ vector: first, step: 1, alpha: 1 }, { vector: first, step: 1, alpha: -1 }];
    expect(await logitsOf(context, () => terms)).toEqual(await logitsOf(context));
  }));

  test("what was steered before does not linger", () => withContext(async (context, first) => {
    const before = await logitsOf(context);
    await logitsOf(context, () => [{ vector: first, step: 0, alpha: 2 }]);
    expect(await logitsOf(context)).toEqual(before);
  }));
});

describe("batches and caches", () => {
  test("token by token from the cache equals all at once", () => withContext(async (context, first) => {
    const terms = (position: number): Term[] => [{ vector: first, step: position % 4, alpha: 1 + position / 10 }];
    const whole = await logitsOf(context, terms);
    context.kvClear();
    for (const [position, token] of TOKENS.entries()) {
      const batch = new Batch();
      batch.add(token, position, 0, { output: true, terms: terms(position) });
      await context.decode(batch);
      expect(maxDifference(context.logits(0), whole[position]!)).toBeLessThan(ROUNDING);
    }
  }));

  test("each row of a batch carries its own terms, whatever steers its neighbours", () => withContext(async (context, first, second) => {
    const termsOf: Term[][] = [
      [], [{ vector: first, step: 0, alpha: 2 }], [{ vector: second, step: 3, alpha: -1 }],
      [{ vector: first, step: 1, alpha: 1 }, { vector: second, step: 0, alpha: 1 }],
    ];
    const last = TOKENS.length - 1;
    context.kvClear();
    const prompt = new Batch();
    TOKENS.slice(0, last).forEach((token, position) => prompt.add(token, position, 0));
    await context.decode(prompt);
    termsOf.forEach((_, sequence) => { if (sequence > 0) context.kvCopy(0, sequence); });
    const batch = new Batch();
    termsOf.forEach((terms, sequence) => batch.add(TOKENS[last]!, last, sequence, { output: true, terms }));
    await context.decode(batch);
    for (const [row, terms] of termsOf.entries()) {
      const { logits } = forward(tiny, TOKENS, (layer, position) => {
        if (position !== last) return undefined;
        const sum = new Float64Array(vector.width);
        for (const term of terms) direction(term.vector === first ? vector : other, layer, term.step, term.alpha)!.forEach(
          (value, i) => { sum[i]! += value; },
        );
        return sum;
      });
      expect(maxDifference(context.logits(row), logits[last]!)).toBeLessThan(ROUNDING);
    }
  }));
});
