import { afterAll, describe, expect, test } from "@jest/globals";
import type { HookSite, Model, Operator, VectorData } from "../../lib/index.js";
import { Batch, type Context, type Term } from "../../lib/engine/index.js";
import { generateText } from "../../lib/generate/index.js";
import { tinyForFile } from "../support/file-model.js";
import { dot } from "../support/linear.js";
import { forward, type SiteHook } from "../support/reference-forward.js";
import { direction, loadTiny, maxDifference, ON_DEVICE, randomVector, tolerance } from "../support/tiny-files.js";
import { workOf } from "../support/work.js";

// F32 weights and KV, no flash attention: what differs from the double-precision reference is float rounding alone.
const ROUNDING = tolerance(5e-5);
/** Of a component or a norm, relative to the activation's norm: an activation is rounded to 32 bits, and read as a difference of two. */
const RELATIVE = tolerance(1e-6);

const { space, tiny, model } = await tinyForFile();
const TOKENS = [1, 70, 103, 35, 118, 200];
const SITES: HookSite[] = ["head_out", "attn_out", "resid_mid", "mlp_out", "resid_post"];
const vectorsOf = (site: HookSite): Promise<VectorData[]> =>
  Promise.all([5, 6, 7].map((seed) => randomVector(model, seed, { site, scale: 1 })));

interface Given { vector: VectorData; step: number; alpha: number; operator?: Operator; keepNorm?: boolean }
const termOf = ({ vector, ...how }: Given): Term => ({ ...how, vector: model.vectorHandle(vector) });

const ORDER: Operator[] = ["add", "ablate", "project", "clamp"];

/** What the terms make of an activation, from the definitions of docs/method.md §4 alone. */
function changed(x: Float64Array, terms: readonly Given[], layer: number): Float64Array {
  let y = x;
  for (const operator of ORDER) {
    for (const { vector, step, alpha } of terms.filter((term) => (term.operator ?? "add") === operator)) {
      const d = direction(vector, layer, step, 1)!;
      const norm = Math.sqrt(dot(d, d));
      const component = dot(y, d) / norm;
      const reach = alpha * norm;
      const wanted = operator === "add" ? component + reach : operator === "ablate" ? component - alpha * component
        : operator === "project" ? (alpha > 0 ? Math.max(component, reach) : Math.min(component, reach))
        : Math.sign(component) * Math.min(Math.abs(component), Math.abs(reach));
      y = y.map((value, i) => value + ((wanted - component) * d[i]!) / norm);
    }
  }
  const [before, after] = [Math.sqrt(dot(x, x)), Math.sqrt(dot(y, y))];
  return terms.some(({ keepNorm }) => keepNorm) ? y.map((value) => (value * before) / after) : y;
}

/** Logits of every row of one decode of the whole sequence. */
async function logitsOf(context: Context, terms: (position: number) => readonly Given[]): Promise<Float32Array[]> {
  context.kvClear();
  const batch = new Batch();
  TOKENS.forEach((token, position) => batch.add(token, position, 0, { output: true, terms: terms(position).map(termOf) }));
  await context.decode(batch);
  return TOKENS.map((_, row) => context.logits(row));
}

const context = await model.createContext({ nCtx: 256, nSeqMax: 16 });
afterAll(() => context.dispose());

describe.each(SITES)("%s", (site) => {
  test("every operator, and all of them at once, are those of the definitions, in double precision", async () => {
    const [a, b, c] = await vectorsOf(site) as [VectorData, VectorData, VectorData];
    const cases: Given[][] = [
      [{ vector: a, step: 0, alpha: 1, operator: "ablate" }], [{ vector: a, step: 1, alpha: 0.3, operator: "ablate", keepNorm: true }],
      [{ vector: a, step: 2, alpha: 0.5, operator: "project" }], [{ vector: a, step: 2, alpha: -0.5, operator: "project" }],
      [{ vector: a, step: 3, alpha: 0.05, operator: "clamp" }],
      [{ vector: a, step: 0, alpha: 1, keepNorm: true }, { vector: b, step: 1, alpha: -1 }],
      [
        { vector: c, step: 0, alpha: 0.02, operator: "clamp" }, { vector: a, step: 0, alpha: 2 },
        { vector: b, step: 0, alpha: 0.7, operator: "project" },
        { vector: b, step: 1, alpha: 1, operator: "ablate" }, { vector: a, step: 1, alpha: 1, operator: "ablate", keepNorm: true },
      ],
    ];
    let most = 0;
    const plain = forward(tiny, TOKENS).logits;
    for (const terms of cases) {
      const at = (position: number): readonly Given[] => (position >= 2 && position !== 4 ? terms : []);
      const hook: SiteHook = (where, layer, position, x) => (where === site ? changed(x, at(position), layer) : x);
      const { logits } = forward(tiny, TOKENS, undefined, hook);
      const ours = await logitsOf(context, at);
      ours.forEach((row, position) => expect(maxDifference(row, logits[position]!)).toBeLessThan(ROUNDING));
      most = Math.max(most, maxDifference(plain[5]!, logits[5]!));
      expect(maxDifference(plain[5]!, logits[5]!)).toBeGreaterThan(5 * ROUNDING); // there was something to change: 0.45 at least
    }
    expect(most).toBeGreaterThan(0.1);
  });
});

/** The stream after block 0, which other terms may have changed: that before the next block's MLP, less that block's attention. */
async function streamAfter(terms: readonly Given[]): Promise<Float64Array> {
  const into = (["resid_mid", "attn_out"] as const).map((site) => model.createCapture(site, [1], 1));
  context.kvClear();
  const batch = new Batch();
  TOKENS.forEach((token, position) => batch.add(token, position, 0, { output: true, terms: position === 5 ? terms.map(termOf) : [] }));
  for (const each of into) batch.capture(5, { into: each, step: 0, weight: 1 });
  await context.decode(batch);
  const [mid, attention] = into.map((each) => model.takeCapture(each).sums);
  return mid!.map((value, i) => value - attention![i]!);
}

describe("identities, seen in the stream after a block", () => {
  const part = (seed: number): Promise<VectorData> => randomVector(model, seed, { site: "resid_post", layers: [0], scale: 1 });
  const norm = (x: Float64Array): number => Math.sqrt(dot(x, x));
  const along = (x: Float64Array, { vector, step }: Given): number => {
    const d = direction(vector, 0, step, 1)!;
    return dot(x, d) / Math.sqrt(dot(d, d));
  };
  const reach = ({ vector, step, alpha }: Given): number => alpha * norm(direction(vector, 0, step, 1)!);

  test("an ablated stream has no component along the direction, and ablating twice is ablating once", async () => {
    for (const seed of [1, 2, 3]) {
      const term: Given = { vector: await part(seed), step: seed, alpha: 1, operator: "ablate" };
      const [plain, once, twice] = [await streamAfter([]), await streamAfter([term]), await streamAfter([term, term])];
      expect(Math.abs(along(plain, term))).toBeGreaterThan(0.01 * norm(plain));
      expect(Math.abs(along(once, term))).toBeLessThan(RELATIVE * norm(plain));
      expect(maxDifference(twice, once)).toBeLessThan(RELATIVE * norm(plain));
      const half = await streamAfter([{ ...term, alpha: 0.5 }]);
      expect(along(half, term)).toBeCloseTo(along(plain, term) / 2, 5);
    }
  });

  test("project adds up to its target and never past it, in its direction only, and doing so twice changes nothing", async () => {
    let [moved, left] = [0, 0];
    for (const alpha of [0.05, 0.4, 2, -0.05, -0.4, -2]) {
      const term: Given = { vector: await part(3), step: 0, alpha, operator: "project" };
      const [plain, once, twice] = [await streamAfter([]), await streamAfter([term]), await streamAfter([term, term])];
      const [before, after, target] = [along(plain, term), along(once, term), reach(term)];
      const isThere = alpha > 0 ? before >= target : before <= target;
      if (isThere) { left++; expect(once).toEqual(plain); } else moved++;
      expect(Math.abs(after - (isThere ? before : target))).toBeLessThan(RELATIVE * norm(plain));
      expect(maxDifference(twice, once)).toBeLessThan(RELATIVE * norm(plain));
    }
    expect(moved).toBeGreaterThan(1);
    expect(left).toBeGreaterThan(0);
  });

  test("clamp limits the component on both sides", async () => {
    for (const alpha of [0.01, -0.01, 50]) {
      const term: Given = { vector: await part(1), step: 1, alpha, operator: "clamp" };
      const [plain, once] = [await streamAfter([]), await streamAfter([term])];
      const expected = Math.sign(along(plain, term)) * Math.min(Math.abs(along(plain, term)), Math.abs(reach(term)));
      expect(Math.abs(along(once, term) - expected)).toBeLessThan(RELATIVE * norm(plain));
    }
  });

  test("a kept norm is the norm that was there, whatever acts", async () => {
    const vector = await part(1);
    const plain = await streamAfter([]);
    for (const operator of ["add", "ablate", "project"] as const) {
      const term: Given = { vector, step: 0, alpha: operator === "ablate" ? 1 : 20, operator };
      const [kept, free] = [await streamAfter([{ ...term, keepNorm: true }]), await streamAfter([term])];
      expect(Math.abs(norm(kept) / norm(plain) - 1)).toBeLessThan(RELATIVE);
      expect(Math.abs(norm(free) / norm(plain) - 1)).toBeGreaterThan(1e-3);
    }
  });

  test("operators act in their order, whatever the order of the terms; those of one kind in the order given", async () => {
    const [a, b] = [await part(1), await part(2)];
    const terms: Given[] = [
      { vector: a, step: 0, alpha: 0.05, operator: "clamp" }, { vector: b, step: 0, alpha: 1, operator: "project" },
      { vector: b, step: 1, alpha: 1, operator: "ablate" }, { vector: a, step: 1, alpha: 2 },
    ];
    const forwards = await streamAfter(terms);
    expect(await streamAfter(terms.toReversed())).toEqual(forwards);
    const second = terms[2]!;
    const left: number[] = [];
    for (const step of [0, 1, 2, 3, 4]) {
      const first: Given = { ...second, vector: a, step };
      const [one, other] = [await streamAfter([first, second]), await streamAfter([second, first])];
      expect(Math.abs(along(one, second))).toBeLessThan(RELATIVE * norm(one));
      left.push(Math.abs(along(other, second)) / norm(other));
    }
    expect(Math.max(...left)).toBeGreaterThan(0.06); // 0.09; the largest tolerance, of GPUs, is 0.05
  });
});

describe("a batch", () => {
  test("a row is, to the last bit, what it is beside rows with other operators", async () => {
    const all = await Promise.all(SITES.map(vectorsOf));
    const term = (site: number, operator: Operator, more: object = {}): Given =>
      ({ vector: all[site]![0]!, step: 1, alpha: 0.6, operator, ...more });
    const own: Given[][] = [
      [], ...[0, 1, 4].map((site) => [term(site, "add")]), [term(0, "add"), term(1, "ablate")], [term(4, "project"), term(4, "add")],
      [term(0, "ablate", { keepNorm: true })], [term(2, "clamp", { alpha: 0.1 }), term(3, "add")],
    ];
    const logits = async (kept: (row: number) => boolean): Promise<Float32Array[]> => {
      context.kvClear();
      const batch = new Batch();
      own.forEach((terms, row) => batch.add(70 + row, 0, row, { output: true, terms: kept(row) ? terms.map(termOf) : [] }));
      await context.decode(batch);
      return own.map((_, row) => context.logits(row));
    };
    const together = await logits(() => true);
    const plain = await logits(() => false);
    for (const [row, { length }] of own.entries()) {
      const alone = await logits((each) => each === row);
      expect(together[row]).toEqual(alone[row]);
      if (length > 0) expect(maxDifference(alone[row]!, plain[row]!)).toBeGreaterThan(1e-3);
    }
  });

  test("an alpha of 0 and a direction of zeros change nothing, bit for bit", async () => {
    const vector = await randomVector(model, 1, { site: "resid_post" });
    const none = { ...vector, data: new Float32Array(vector.data.length) };
    const plain = await logitsOf(context, () => []);
    for (const operator of ORDER) {
      expect(await logitsOf(context, () => [{ vector, step: 0, alpha: 0, operator, keepNorm: true }])).toEqual(plain);
      if (operator !== "add") expect(await logitsOf(context, () => [{ vector: none, step: 0, alpha: 1, operator }])).toEqual(plain);
    }
  });

  // Where a device may compute, operators go through the callback path, with a stop (docs/architecture.md).
  (ON_DEVICE ? test.skip : test).each(["attn_out", "resid_post"] as const)(
    "%s: without a stop, the graph path does what the callback path does, to the last bit", async (site) => {
      const terms = async (own: Model): Promise<(position: number) => Term[]> => {
        const [a, b] = await Promise.all([1, 2].map((seed) => randomVector(own, seed, { site, layers: [1, 2], scale: 1 })));
        const all: Given[][] = [
          [], [{ vector: a!, step: 0, alpha: 1, operator: "ablate" }], [{ vector: a!, step: 0, alpha: 1 }],
          [{ vector: b!, step: 1, alpha: 2, keepNorm: true }, { vector: a!, step: 1, alpha: 0.7, operator: "project" }],
          [{ vector: a!, step: 2, alpha: 0.01, operator: "clamp" }],
        ];
        return (position) => (all[position % 5] ?? []).map(({ vector, ...how }) => ({ ...how, vector: own.vectorHandle(vector) }));
      };
      const found = [];
      for (const steeringPath of ["callback", "graph"] as const) {
        const { model: own } = await loadTiny(space, { steeringPath });
        using other = await own.createContext({ nCtx: 64, nSeqMax: 2 });
        const at = await terms(own);
        const logits: Float32Array[] = [];
        const work = await workOf(async () => {
          for (let round = 0; round < 3; round++) { // the graph is used again, with and without operators
            other.kvClear();
            const batch = new Batch();
            TOKENS.forEach((token, position) => batch.add(token, position, 0, { output: true, terms: round === 1 ? [] : at(position) }));
            await other.decode(batch);
            logits.push(...TOKENS.map((_, row) => other.logits(row)));
          }
        });
        found.push(logits);
        if (steeringPath === "graph") expect(work.stops).toBe(0);
        else expect(work.stops).toBeGreaterThan(0);
        own.dispose();
      }
      expect(found[1]).toEqual(found[0]);
    },
  );

  test("the graph path alone only adds at head_out", async () => {
    const { model: own } = await loadTiny(space, { steeringPath: "graph" });
    const vector = await randomVector(own, 1);
    for (const how of [{ operator: "ablate" }, { keepNorm: true }] as const) {
      await expect(generateText(own, "x", { steer: { vector, schedule: { kind: "fixed", alpha: 1 }, ...how }, maxNewTokens: 2 }))
        .rejects.toMatchObject({ code: "E_NO_SITE", message: expect.stringContaining("only adds") });
    }
    own.dispose();
  });
});
