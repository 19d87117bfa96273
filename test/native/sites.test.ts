import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { HookSite, Model } from "../../lib/index.js";
import { HOOK_SITES } from "../../lib/vector/index.js";
import { Batch, type Context, type Term } from "../../lib/engine/index.js";
import { ARCHITECTURES, architectureTensors, EPSILON, OTHER_ARCHITECTURES } from "../support/tiny-architectures.js";
import { allLayers, loadArchitecture, maxDifference, randomVector, scratch, tolerance } from "../support/tiny-files.js";

// Sums of a few dozen floats of size 10; GELU is a table in half precision on ggml's CPU, but both sides read the same one.
const ROUNDING = tolerance(2e-4);
// The attention's K and V go through half precision.
const HALF = tolerance(0.05);

const space = scratch();
afterAll(() => space[Symbol.dispose]());

const TOKENS = [1, 70, 103, 35, 118, 200, 9, 77, 80, 12, 66, 90, 54, 33, 41, 250, 17, 18, 99, 4]; // longer than the sliding windows
const LAST = TOKENS.length - 1;

interface Run {
  logits: Float32Array;
  /** Of the last row, per site, in the layers that have it. */
  activations: Record<HookSite, Float64Array[]>;
}

test("TypeScript and C++ know the same sites, in the same order", async () => {
  using model = await loadArchitecture(space, "llama");
  expect(() => model.siteLayers("elsewhere" as HookSite)).toThrow(expect.objectContaining({
    code: "E_NO_SITE", message: `"elsewhere" is not a hook site; expected one of: ${HOOK_SITES.join(", ")}`,
  }));
});

/** Decode the tokens, steer and capture at the last row. */
async function run(model: Model, context: Context, terms: Term[] = [], sites: readonly HookSite[] = HOOK_SITES): Promise<Run> {
  context.kvClear();
  const activations = {} as Run["activations"];
  let logits: Float32Array = new Float32Array();
  for (const site of sites) { // a row is captured at one site per decode
    context.kvClear();
    const layers = model.siteLayers(site);
    const into = model.createCapture(site, layers, 1);
    const batch = new Batch();
    TOKENS.forEach(
      (token, position) => batch.add(
        token, position, 0, position === LAST ? { output: true, terms, capture: { into, step: 0, weight: 1 } } : {},
      ),
    );
    await context.decode(batch);
    logits = context.logits(LAST);
    const { sums } = model.takeCapture(into);
    const width = sums.length / layers.length;
    activations[site] = layers.map((_, index) => sums.slice(index * width, (index + 1) * width));
  }
  return { logits, activations };
}

const minus = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value - b[i]!);
const plus = (a: Float64Array, b: ArrayLike<number>): Float64Array => a.map((value, i) => value + b[i]!);

describe.each(ARCHITECTURES)("the sites of %s are what their names say", (name) => {
  let model: Model;
  let context: Context;
  const weights = new Map(architectureTensors(name).map((tensor) => [tensor.name, tensor.data]));
  const isGemma = name.startsWith("gemma");

  beforeAll(async () => {
    model = await loadArchitecture(space, name);
    context = await model.createContext({ nCtx: 128, nSeqMax: 4 });
  });
  afterAll(() => {
    context.dispose();
    model.dispose();
  });

  /** What the block adds to the stream for this output of W_O. */
  const added = (attnOut: Float64Array, layer: number): Float64Array => {
    if (!isGemma) return attnOut;
    const norm = weights.get(`blk.${layer}.post_attention_norm.weight`)!;
    const scale = 1 / Math.sqrt(attnOut.reduce((sum, value) => sum + value * value, 0) / attnOut.length + EPSILON);
    return attnOut.map((value, i) => value * scale * norm[i]!);
  };

  test("captured: W_O times head_out is attn_out, the stream is the sum of what attention and MLP add", async () => {
    const { activations } = await run(model, context);
    for (const layer of allLayers(model)) {
      const at = (site: HookSite): Float64Array => activations[site][layer]!;
      const wo = weights.get(`blk.${layer}.attn_output.weight`)!;
      const product = Float64Array.from(
        { length: model.info.nEmbd },
        (_, row) => at("head_out").reduce((sum, value, i) => sum + value * wo[row * at("head_out").length + i]!, 0),
      );
      expect(maxDifference(product, at("attn_out"))).toBeLessThan(ROUNDING);
      expect(maxDifference(minus(at("resid_post"), at("mlp_out")), at("resid_mid"))).toBeLessThan(ROUNDING);
      if (layer > 0) expect(maxDifference(plus(activations.resid_post[layer - 1]!, added(at("attn_out"), layer)), at("resid_mid")))
        .toBeLessThan(ROUNDING);
      for (const site of HOOK_SITES) expect(Math.max(...at(site).map(Math.abs))).toBeGreaterThan(0.01);
    }
  });

  test("steered: a direction moves what comes behind its site by itself, in its own layer, and nothing before", async () => {
    const clean = await run(model, context);
    const logits = new Map<string, Float32Array>();
    for (const layer of [0, model.info.nLayer - 1]) {
      for (const site of HOOK_SITES) {
        const vector = await randomVector(model, 3, { site, layers: [layer], nSteps: 1, scale: 2 });
        const steered = await run(model, context, [{ vector: model.vectorHandle(vector), step: 0, alpha: 1.5 }]);
        logits.set(`${site} ${layer}`, steered.logits);
        expect(maxDifference(steered.logits, clean.logits)).toBeGreaterThan(1e-3);
        for (const before of HOOK_SITES) for (let l = 0; l < layer; l++) expect(steered.activations[before][l]).toEqual(
          clean.activations[before][l],
        );
        expect(steered.activations[site][layer]).toEqual(clean.activations[site][layer]); // captured before it is added
        const step = vector.data.map((value) => 1.5 * value);
        if (site === "mlp_out") expect(maxDifference(
          steered.activations.resid_post[layer]!, plus(clean.activations.resid_post[layer]!, step),
        )).toBeLessThan(ROUNDING);
        if (site === "attn_out" && !isGemma) expect(maxDifference(
          steered.activations.resid_mid[layer]!, plus(clean.activations.resid_mid[layer]!, step),
        )).toBeLessThan(ROUNDING);
        if (site === "resid_mid") {
          const passed = minus(steered.activations.resid_post[layer]!, steered.activations.mlp_out[layer]!);
          expect(maxDifference(passed, plus(clean.activations.resid_mid[layer]!, step))).toBeLessThan(ROUNDING);
        }
      }
      // The same direction at mlp_out and at resid_post is the same sum; so it is at attn_out and resid_mid without a norm between.
      expect(maxDifference(logits.get(`mlp_out ${layer}`)!, logits.get(`resid_post ${layer}`)!)).toBeLessThan(ROUNDING);
      if (!isGemma) expect(maxDifference(logits.get(`attn_out ${layer}`)!, logits.get(`resid_mid ${layer}`)!)).toBeLessThan(ROUNDING);
    }
  });

  test.each(
    [{ flashAttention: true, kvType: "f16" }, { quantised: true, flashAttention: true, kvType: "f16" }] as const,
  )("with %p too", async (options) => {
    const other = await loadArchitecture(space, name, options);
    using own = await other.createContext({ nCtx: 128, nSeqMax: 4 });
    const { activations } = await run(other, own);
    for (const layer of allLayers(model)) {
      const at = (site: HookSite): Float64Array => activations[site][layer]!;
      expect(maxDifference(minus(at("resid_post"), at("mlp_out")), at("resid_mid"))).toBeLessThan(ROUNDING);
      if (layer > 0) expect(maxDifference(plus(activations.resid_post[layer - 1]!, added(at("attn_out"), layer)), at("resid_mid")))
        .toBeLessThan(HALF);
    }
    other.dispose();
  });
});

describe("other architectures", () => {
  test.each(OTHER_ARCHITECTURES)("%s: W_O times head_out is attn_out, in the layers that have one", async (name) => {
    const model = await loadArchitecture(space, name);
    using context = await model.createContext({ nCtx: 128, nSeqMax: 4 });
    const sites = HOOK_SITES.filter((site) => model.hasSite(site));
    expect(sites).toContain("resid_post");
    const weights = new Map(architectureTensors(name).map((tensor) => [tensor.name, tensor.data]));
    const { activations } = await run(model, context, [], sites);
    expect(model.siteLayers("head_out")).toEqual(allLayers(model).filter((layer) => weights.has(`blk.${layer}.attn_output.weight`)));
    model.siteLayers("head_out").forEach((layer, i) => {
      const [headOut, attnOut] = [activations.head_out[i]!, activations.attn_out[i]!];
      const wo = weights.get(`blk.${layer}.attn_output.weight`)!;
      expect(maxDifference(
        attnOut, attnOut.map((_, row) => headOut.reduce((sum, value, column) => sum + value * wo[row * headOut.length + column]!, 0)),
      )).toBeLessThan(ROUNDING);
    });
    for (const layer of model.siteLayers("resid_mid")) {
      const [mid, mlp, post] = (["resid_mid", "mlp_out", "resid_post"] as const).map((site) =>
        activations[site][layer]!) as [Float64Array, Float64Array, Float64Array];
      expect(maxDifference(minus(post, mlp), mid)).toBeLessThan(ROUNDING);
    }
    model.dispose();
  });
});
