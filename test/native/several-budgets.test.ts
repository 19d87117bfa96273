import { describe, expect, test } from "@jest/globals";
import { Batch, UNREACHED, type Term } from "../../lib/engine/index.js";
import { generate, generateText } from "../../lib/generate/index.js";
import type { Reading } from "../../lib/generate/readings.js";
import type { GenerationResult, Steering } from "../../lib/index.js";
import { budget, divergences, KL_ROUNDING, readingsOf } from "../support/budgets.js";
import { tinyForFile } from "../support/file-model.js";
import { loadArchitecture, randomVector } from "../support/tiny-files.js";

// Several budgets, whose rows share one decode.

const { space, model } = await tinyForFile();
const vectors = await Promise.all([1, 2, 3].map((seed) => randomVector(model, seed, { nSteps: 12, scale: 1 })));
const PROMPT = [1, 70, 103, 35, 118];

describe.each(["as-generated", "clean"] as const)("a history %s", (ownHistory) => {
  const run = (steer: Steering[], on = model): Promise<GenerationResult> =>
    generateText(on, PROMPT, { steer, maxNewTokens: 12, logProbabilities: true, ownHistory });

  test.each([["llama", 2], ["llama", 3], ["lfm2", 2]])("%s, %d budgets: each is within its own, given those before it", async (name, n) => {
    const own = name === "llama" ? model : await loadArchitecture(space, name);
    const all = await Promise.all([1, 2, 3, 4].slice(0, n + 1).map((seed) =>
      randomVector(own, seed, { site: "resid_post", nSteps: 12, scale: 1 })));
    const nats = [0.2, 0.1, 0.15].slice(0, n);
    const steer = all.map((vector, index): Steering =>
      ({ vector, schedule: index === n ? { kind: "fixed", alpha: 0.5 } : budget(nats[index]!) }));
    const result = await run(steer, own);
    expect(result.work.decodes).toBe(result.tokens.length);
    for (const [which, most] of nats.entries()) {
      const later = nats.flatMap((_, index) => (index > which ? [index] : []));
      const measured = await divergences(own, PROMPT, result, all, ownHistory === "clean", which, later);
      const readings = readingsOf(result, which);
      readings.forEach(({ alpha, kl }, step) => {
        const areBefore = result.tokens[step]!.readings.slice(0, which).every((before) => before.alpha > 0);
        if (kl === null) expect([which, areBefore, alpha]).toEqual([2, false, 0]);
        expect(kl ?? 0).toBeLessThanOrEqual(most);
        expect(Math.abs((kl ?? 0) - measured[step]!)).toBeLessThan(KL_ROUNDING);
      });
      expect(new Set(readings.map(({ alpha }) => alpha)).size).toBeGreaterThan(2);
    }
    if (own !== model) own.dispose();
  });

  test("budgets beside one that is spent are as without it, and so is a third one", async () => {
    const two = [1, 2].map((index): Steering => ({ vector: vectors[index]!, schedule: budget(0.1) }));
    const without = await run(two);
    for (const spent of [budget(1e-9, { per: "answer" }), budget(1e-7)]) {
      const beside = await run([{ vector: vectors[0]!, schedule: spent }, ...two]);
      expect(readingsOf(beside)).toEqual(beside.tokens.map(() => ({ alpha: 0, kl: 0 })));
      for (const index of [1, 2]) expect(readingsOf(beside, index)).toEqual(readingsOf(without, index - 1));
      expect(beside.tokens.map(({ token }) => token)).toEqual(without.tokens.map(({ token }) => token));
    }
    expect(readingsOf(without, 1).filter(({ alpha }) => alpha > 0).length).toBeGreaterThan(without.tokens.length / 2);
  });

  test("a budget that allows next to nothing leaves those beside it theirs; from the third on they wait for those before", async () => {
    const steer = (...nats: number[]): Steering[] => nats.map((each, index) => ({ vector: vectors[index % 3]!, schedule: budget(each) }));
    const both = await run(steer(2e-6, 0.1));
    const readings = readingsOf(both).map(({ alpha, kl }) => [alpha < 0.1, (kl ?? NaN) <= 2e-6]);
    expect(readings).toEqual(readings.map(() => [true, true]));
    for (const index of [0, 1]) {
      expect(readingsOf(both, index).filter(({ alpha }) => alpha > 0).length).toBeGreaterThan(both.tokens.length / 2);
    }
    const five = await run(steer(0.1, 0.1, 0.1, 0.1, 0.1));
    expect(five.work).toMatchObject({ decodes: five.tokens.length, rows: 7 * five.tokens.length });
    const mark = ({ alpha, kl }: Reading): string => (kl === null ? "-" : alpha > 0 ? "1" : "0");
    for (const { readings } of five.tokens) expect(readings.map(mark).join("")).toMatch(/^(11(1(1[01]|0-)|0--)|(?!11)[01]{2}---)$/);
  });
});

test("choices one after the other: the row is that of the last one made, and its token and candidates are its own", async () => {
  using context = await model.createContext({ nCtx: 64, nSeqMax: 4 });
  const [one, two] = vectors.map((vector) => model.vectorHandle(vector));
  const term = (vector: typeof one, alpha: number): Term => ({ vector: vector!, step: 0, alpha });
  // Rows: 0 neither, 1 the first, 2 both, 3 the second.
  const rows = [[], [term(one, 1)], [term(one, 1), term(two, 1)], [term(two, 1)]];
  for (const [first, second, expected, indices] of [
    [1e9, 1e9, 2, [0, 0, UNREACHED]], [1e9, 0, 1, [0, -1, UNREACHED]], [0, 1e9, 3, [-1, UNREACHED, 0]], [0, 0, 0, [-1, UNREACHED, -1]],
  ] as const) {
    context.kvClear();
    const batch = new Batch();
    rows.forEach((terms, sequence) => batch.add(5, 0, sequence, { output: true, terms }));
    batch.choose({ baseline: 0, candidates: [1], nats: first });
    batch.choose({ baseline: 1, candidates: [2], nats: second });
    batch.choose({ baseline: 0, candidates: [3], nats: second });
    batch.sample(-1);
    batch.rank(-1, 1);
    const { chosen, samples, candidates } = await context.decode(batch);
    expect(chosen.map(({ index }) => index)).toEqual(indices);
    expect(chosen[0]!.row).toBe(expected);
    const logits = context.logits(expected);
    expect(samples[0]!.token).toBe(logits.indexOf(Math.max(...logits)));
    expect(candidates[0]![0]!.token).toBe(samples[0]!.token);
    chosen.forEach(({ kls: [kl], index }) => expect(Number.isNaN(kl)).toBe(index === UNREACHED));
  }
});

test("a budget that is added to an answer of a model whose state cannot be cut", async () => {
  const own = await loadArchitecture(space, "lfm2");
  const vector = await randomVector(own, 1, { site: "resid_post" });
  const stream = generate(own, [1, 5], { steer: { vector, schedule: budget(0.1) }, maxNewTokens: 4 });
  await stream.next();
  await stream.add({ vector, schedule: budget(0.1) });
  const { tokens } = await stream.result();
  const areWithin = tokens.map(({ readings }) => readings.map(({ kl }) => (kl ?? NaN) <= 0.1));
  expect(areWithin).toEqual([[true], [true, true], [true, true], [true, true]]);
  for (const index of [0, 1]) expect(tokens.filter(({ readings }) => (readings[index]?.alpha ?? 0) > 0).length).toBeGreaterThan(0);
  own.dispose();
});
