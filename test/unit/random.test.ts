import { expect, test } from "@jest/globals";
import { drawWithReplacement, seededRandom } from "../../lib/maths/random.js";

function draw(seed: number, count: number): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, random);
}

/** mulberry32 (Tommy Ettinger, public domain) written out in whole numbers modulo 2³². */
function* mulberry32(seed: number): Generator<number> {
  const word = (value: bigint): bigint => BigInt.asUintN(32, value);
  for (let state = word(BigInt(seed)); ;) {
    state = word(state + 0x6d2b79f5n);
    let z = word((state ^ (state >> 15n)) * (state | 1n));
    z ^= word(z + word((z ^ (z >> 7n)) * (z | 61n)));
    yield Number(z ^ (z >> 14n)) / 2 ** 32;
  }
}

test.each([0, 1, 32, 2 ** 31, 2 ** 32 - 1, -1])("seed %d gives the numbers of mulberry32", (seed) => {
  const expected = mulberry32(seed);
  expect(draw(seed, 200)).toEqual(Array.from({ length: 200 }, () => expected.next().value as number));
});

test("a seed gives the same numbers again, another seed others", () => {
  expect(draw(32, 50)).toEqual(draw(32, 50));
  expect(draw(32, 50)).not.toEqual(draw(33, 50));
  // Two generators of one seed do not share their state.
  const [a, b] = [seededRandom(5), seededRandom(5)];
  a();
  a();
  expect(b()).toBe(draw(5, 1)[0]);
});

test("numbers lie in [0, 1) and fill it evenly", () => {
  const values = draw(32, 100_000);
  expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
  const bins = Array<number>(10).fill(0);
  for (const value of values) bins[Math.floor(value * 10)]!++;
  // Each bin: 10,000 ± 95 (standard deviation √(100,000 · 0.1 · 0.9)); five of them is beyond chance.
  for (const count of bins) expect(Math.abs(count - 10_000)).toBeLessThan(475);
  // Neighbours are uncorrelated: the mean of x·y of independent uniforms is 1/4, its deviation √(7/144/100,000) = 0.0007.
  const products = values.slice(1).reduce((sum, value, index) => sum + value * values[index]!, 0) / (values.length - 1);
  expect(Math.abs(products - 0.25)).toBeLessThan(0.0035);
});

test("drawWithReplacement: whole numbers below n, repeated for the same seed", () => {
  const indices = drawWithReplacement(32, 30, 32);
  expect(indices).toHaveLength(30);
  expect(indices.every((index) => Number.isInteger(index) && index >= 0 && index < 32)).toBe(true);
  expect(drawWithReplacement(32, 30, 32)).toEqual(indices);
  expect(drawWithReplacement(32, 30, 33)).not.toEqual(indices);
});

test("drawWithReplacement repeats indices and reaches all", () => {
  // 40 draws from 10 repeat by the pigeonhole principle; 10,000 draws miss one of 10 with a chance of 10 · 0.9^10,000.
  expect(new Set(drawWithReplacement(10, 10_000, 1)).size).toBe(10);
  expect(drawWithReplacement(1, 5, 9)).toEqual([0, 0, 0, 0, 0]);
  expect(drawWithReplacement(10, 0, 1)).toEqual([]);
  // A draw without replacement would give 100 different ones; with replacement about 63.
  const different = new Set(drawWithReplacement(100, 100, 32)).size;
  expect(different).toBeGreaterThan(50);
  expect(different).toBeLessThan(76);
});

test("more draws begin with the same ones", () => {
  expect(drawWithReplacement(99, 50, 32).slice(0, 30)).toEqual(drawWithReplacement(99, 30, 32));
});
