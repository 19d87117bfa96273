import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { SteeringVector, type VectorData } from "../../lib/index.js";
import { seededRandom } from "../../lib/maths/random.js";
import { temporaryFolder } from "../support/io-helpers.js";
import { provenance } from "../support/vectors.js";

function vector(
  seed: number,
  { layers = [0, 2], nSteps = 3, width = 8, property = `v${seed}` }: {
    layers?: number[]; nSteps?: number; width?: number; property?: string
  } = {},
): SteeringVector {
  const random = seededRandom(seed);
  const data = Float32Array.from({ length: layers.length * nSteps * width }, () => random() - 0.5);
  const { model, ...rest } = provenance();
  return new SteeringVector(
    { site: "head_out", layers, nSteps, width, data, provenance: { ...rest, model: { ...model, nHead: 2 }, property } },
  );
}

const [a, b] = [vector(1), vector(2)];

test("sums and differences, by hand", () => {
  const small = (values: number[]): SteeringVector => new SteeringVector(
    { ...vector(1, { layers: [4], nSteps: 1, width: 2 }), data: Float32Array.from(values) } as VectorData,
  );
  const [x, y] = [small([1, 2]), small([10, -4])];
  expect([x.add(y), x.subtract(y), x.scale(-0.5), SteeringVector.mean([x, y])].map(({ data }) => [...data])).toEqual([
    [11, -2], [-9, 6], [-0.5, -1], [5.5, -1],
  ]);
  expect(small([3, 4]).norms()).toEqual([[5]]);
  expect([...small([3, 4]).normalised().data]).toEqual([Math.fround(0.6), Math.fround(0.8)]);
  expect([...small([0, 0]).normalised().data]).toEqual([0, 0]);
});

test("identities", () => {
  expect(a.subtract(a).data.every((value) => value === 0)).toBe(true);
  expect(a.add(b).data).toEqual(b.add(a).data);
  expect(a.scale(1).data).toEqual(a.data);
  expect(a.add(b).subtract(b).data.every((value, i) => Math.abs(value - a.data[i]!) < 1e-6)).toBe(true);
  expect(SteeringVector.mean([a, a, a]).data.every((value, i) => Math.abs(value - a.data[i]!) < 1e-7)).toBe(true);
  expect(a.cosine(a.scale(2)).cosines.flat().every((value) => Math.abs(value! - 1) < 1e-6)).toBe(true);
  expect(a.cosine(a.scale(-1)).cosines.flat().every((value) => Math.abs(value! + 1) < 1e-6)).toBe(true);
  expect(a.cosine(a.scale(0)).cosines.flat()).toEqual(Array(6).fill(null));
});

test("without its part along another, a vector is orthogonal to it and has lost nothing else", () => {
  const rest = a.projectOut(b);
  expect(rest.cosine(b).cosines.flat().every((value) => Math.abs(value!) < 1e-6)).toBe(true);
  const taken = a.subtract(rest);
  expect(taken.cosine(b).cosines.flat().every((value) => Math.abs(Math.abs(value!) - 1) < 1e-5)).toBe(true);
  expect(a.projectOut(b.scale(0)).data).toEqual(a.data);
});

test("layers that one of them lacks count as zeros; one step stands for all", () => {
  const sum = a.add(vector(3, { layers: [2, 5] }));
  expect([sum.layers, sum.select({ layers: [0] }).data]).toEqual([[0, 2, 5], a.select({ layers: [0] }).data]);
  const constant = b.pooled();
  expect(constant.nSteps).toBe(1);
  const moved = a.add(constant);
  const size = a.width;
  for (let step = 0; step < 3; step++) for (let i = 0; i < size; i++) expect(moved.data[step * size + i]).toBeCloseTo(
    a.data[step * size + i]! + (b.data[i]! + b.data[size + i]! + b.data[2 * size + i]!) / 3, 6,
  );
});

test("what does not fit together is refused", () => {
  const other = (change: Partial<VectorData>): VectorData => ({ ...b, ...change } as VectorData);
  expect(() => a.add(other({ site: "resid_post" }))).toThrow(expect.objectContaining({
    code: "E_SHAPE", message: expect.stringContaining("expected vectors at the same site"),
  }));
  expect(() => a.add(vector(4, { width: 4 }))).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
  expect(() => a.add(vector(4, { nSteps: 2 }))).toThrow(/pool one of them/);
  expect(() => a.cosine(vector(4, { layers: [1] }))).toThrow(/no layer in common/);
  expect(() => a.subtract(other({ provenance: { ...provenance(), model: { ...provenance().model, fileHash: "another" } } }))).toThrow(
    expect.objectContaining({ code: "E_MODEL_MISMATCH" }),
  );
  for (const factor of [NaN, Infinity]) expect(() => a.scale(factor)).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT" }));
  expect(() => a.scale(1e300)).toThrow(expect.objectContaining({ code: "E_NOT_FINITE" }));
  expect(() => SteeringVector.mean([])).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT" }));
});

test("a derived vector says what was done, to what, and its file is read as it was written", async () => {
  const made = a.scale(0.5).subtract(vector(2, { property: "FRA vs ENG" }));
  expect(made.property).toBe("(0.5 · v1) −(FRA vs ENG)".replace("−(", "− ("));
  expect(made.provenance.origin).toMatchObject({
    kind: "derived", from: [{ hash: a.scale(0.5).hash }, { property: "FRA vs ENG", hash: b.hash }],
  });
  expect(made.provenance.model).toEqual(a.provenance.model);
  const path = join(await temporaryFolder(), "made.safetensors");
  await made.save(path);
  const read = await SteeringVector.load(path);
  expect([read.data, read.provenance, read.hash, read.path]).toEqual([made.data, made.provenance, made.hash, path]);
});

test("norms of directions of any length", () => {
  const long = new SteeringVector(
    { ...vector(1, { layers: [4], nSteps: 1, width: 2 }), width: 300_000, data: new Float32Array(300_000).fill(2) },
  );
  expect(long.norms()[0]![0]).toBeCloseTo(2 * Math.sqrt(300_000), 6);
});
