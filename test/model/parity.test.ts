import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readFile, writeFile } from "node:fs/promises";
import { loadModel, type Model } from "../../lib/index.js";
import { findPullable } from "../../lib/models/pull.js";
import { modelPath } from "../../lib/models/registry.js";
import { withMatricesAs } from "../support/gguf-reader.js";
import type { TensorType } from "../support/gguf-writer.js";
import { loadGolden, Parity, type Golden } from "../support/golden.js";
import { describeWithModel } from "../support/real-model.js";
import { sampled } from "../support/slow.js";
import { scratch } from "../support/tiny-files.js";

const MINUTES = 60_000;
/** What two implementations in 32 bits may differ by in a logit; steered hard, errors grow by the layer. */
const LOGIT_ERROR = 0.01;
const space = scratch();
afterAll(() => space[Symbol.dispose]());

/** A model of the registry with its matrices in another type, computed as exactly as llama.cpp can. */
async function loadAs(name: string, type: TensorType): Promise<Model> {
  const path = space.path(`${name}-${type}.gguf`);
  await writeFile(path, withMatricesAs(await readFile(modelPath(findPullable(name))), type));
  return loadModel(path, { kvType: "f32", flashAttention: false, vet: false, gpuLayers: 0, maxSequences: 32, contextSize: 8192 });
}

const MODELS = [
  { name: "tiny", golden: "tiny", leastResults: 200, describeModel: describe },
  { name: "smollm2-135m", golden: "smollm2", leastResults: 40, describeModel: await describeWithModel("smollm2-135m") },
];

for (const { name, golden: goldenName, leastResults, describeModel } of MODELS) {
  describeModel(`${name} against the PyTorch implementation, weights in F32`, () => {
    let golden: Golden;
    let model: Model;
    let parity: Parity;
    let results: Array<Awaited<ReturnType<Parity["result"]>>>;

    beforeAll(async () => {
      const whole = await loadGolden(goldenName);
      expect(whole.results.length).toBeGreaterThanOrEqual(leastResults);
      golden = { ...whole, results: sampled(whole.results, 6) };
      model = await loadAs(name, "F32");
      parity = new Parity(model, golden);
      for (const property of golden.deltas.keys()) await parity.vector(property);
      results = await Promise.all(golden.results.map((result) => parity.result(result)));
    }, 10 * MINUTES);

    afterAll(() => model.dispose());

    test("the golden files are those of this model", () => {
      expect(golden.provenance.model.sha256).toBe(findPullable(name).sha256);
    });

    test("tokens of all prompts, in both formats", async () => {
      for (const prompt of golden.prompts) {
        for (const format of ["clean", "published"] as const) {
          expect(await parity.promptTokens(prompt, format)).toEqual({ icl: prompt.icl[format], noIcl: prompt.noIcl[format] });
        }
      }
    });

    test("deltas, per layer and step", async () => {
      for (const property of golden.deltas.keys()) {
        const { cosine, error, nSteps } = await parity.compareDelta(property);
        expect(nSteps).toBe(golden.provenance.config.maxNewTokens);
        expect(cosine).toBeGreaterThanOrEqual(0.99999);
        expect(error).toBeLessThanOrEqual(1e-3);
      }
    });

    test("greedy tokens: of at least 98 % of the results, and of all in which no token led by less than rounding", () => {
      const isSame = results.map(({ tokens }, i) => String(tokens) === String(golden.results[i]!.tokens));
      expect(isSame.filter(Boolean).length / results.length).toBeGreaterThanOrEqual(0.98);
      expect(golden.results.filter(({ margin }, i) => margin > LOGIT_ERROR && !isSame[i])).toEqual([]);
    });

    test("alphas and KLs of every step that has the same tokens before it", () => {
      let compared = 0;
      for (const [i, { tokens, readings }] of results.entries()) {
        const { tokens: expected, alphas, kls } = golden.results[i]!;
        for (let step = 0; step < Math.min(tokens.length, expected.length) && String(tokens.slice(0, step)) === String(
          expected.slice(0, step),
        ); step++) {
          for (const [property, { alpha, kl }] of readings[step]!.entries()) {
            expect(Math.abs(alpha - alphas[property]![step]!)).toBeLessThanOrEqual(5e-3);
            if (kls[property]) expect(Math.abs(kl! - kls[property]![step]!)).toBeLessThanOrEqual(5e-3 * Math.max(1, kl!));
            compared++;
          }
        }
      }
      expect(compared).toBeGreaterThan(5 * results.length);
    });

    test("ΔPPL, to 0.5 % of the steered perplexity", () => {
      for (const [i, { tokens, delta }] of results.entries()) {
        const expected = golden.results[i]!;
        if (String(tokens) !== String(expected.tokens)) continue; // other alphas are replayed
        expect(Math.abs(delta - expected.delta_perplexity)).toBeLessThanOrEqual(0.005 * expected.perplexity);
      }
    });
  });
}

// Behind the same tokens: the ones that a quantised model would choose itself are others now and then.
describe.each([["Q8_0", 0.999], ["Q4_0", 0.97]] as const)("tiny against the PyTorch implementation, weights in %s", (type, bar) => {
  test(`deltas behind the same tokens have a cosine of at least ${bar}`, async () => {
    await using model = await loadAs("tiny", type);
    const golden = await loadGolden("tiny");
    for (const property of golden.deltas.keys()) expect(
      (await new Parity(model, golden).compareDelta(property, { forced: true })).cosine,
    ).toBeGreaterThanOrEqual(bar);
  }, 2 * MINUTES);
});
