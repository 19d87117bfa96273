import { expect, test } from "@jest/globals";
import { seededRandom } from "../../lib/maths/random.js";
import { delta, type StepMeans } from "../../lib/vector/index.js";

/** `[nLayer, nSteps, width]` */
function means(nLayer: number, nSteps: number, width: number, seed: number): StepMeans {
  const random = seededRandom(seed);
  return { nLayer, nSteps, width, means: Float64Array.from({ length: nLayer * nSteps * width }, () => random() * 10 - 5) };
}

test("v − v = 0", () => {
  const v = means(3, 4, 5, 1);
  const zero = delta(v, v);
  expect(zero).toMatchObject({ nLayer: 3, nSteps: 4, width: 5 });
  expect([...zero.data]).toEqual(Array(60).fill(0));
});

test("a − b = −(b − a)", () => {
  const [a, b] = [means(3, 4, 5, 1), means(3, 4, 5, 2)];
  const forth = delta(a, b).data;
  expect([...forth]).toEqual([...delta(b, a).data].map((value) => -value));
  expect(forth.some((value) => value !== 0)).toBe(true);
});

test("a − 0 = a, in single precision", () => {
  const a = means(2, 3, 4, 1);
  const zero = { ...a, means: new Float64Array(24) };
  expect([...delta(a, zero).data]).toEqual([...a.means].map(Math.fround));
});

test("(a − c) = (a − b) + (b − c)", () => {
  const [a, b, c] = [means(2, 2, 3, 1), means(2, 2, 3, 2), means(2, 2, 3, 3)];
  const [ac, ab, bc] = [delta(a, c).data, delta(a, b).data, delta(b, c).data];
  ac.forEach((value, index) => expect(value).toBeCloseTo(ab[index]! + bc[index]!, 5)); // three float32 roundings of values below 10
});

test("the subtraction happens in double precision", () => {
  // float32 cannot tell 1e8 + 1 from 1e8.
  const one = (value: number): StepMeans => ({ nLayer: 1, nSteps: 1, width: 1, means: Float64Array.of(value) });
  expect(delta(one(1e8 + 1), one(1e8)).data[0]).toBe(1);
});

/** Every value names its place: layer · 100 + step · 10 + column. */
function labelled(nLayer: number, nSteps: number, width: number): StepMeans {
  const values: number[] = [];
  for (let layer = 0; layer < nLayer; layer++) {
    for (let step = 0; step < nSteps; step++) {
      for (let column = 0; column < width; column++) values.push(layer * 100 + step * 10 + column);
    }
  }
  return { nLayer, nSteps, width, means: Float64Array.from(values) };
}

test("unequal step counts: the steps that both sides reached, each from its own layer", () => {
  const long = labelled(2, 3, 2);
  const short = { ...labelled(2, 1, 2), means: Float64Array.of(1, 2, 3, 4) };
  // layer 0, step 0: [0, 1] − [1, 2]; layer 1, step 0: [100, 101] − [3, 4]
  expect(delta(long, short)).toEqual({ nLayer: 2, nSteps: 1, width: 2, data: Float32Array.of(-1, -1, 97, 97) });
  expect(delta(short, long)).toEqual({ nLayer: 2, nSteps: 1, width: 2, data: Float32Array.of(1, 1, -97, -97) });
});

test("sides of another shape are refused, with both shapes", () => {
  const a = means(2, 3, 4, 1);
  for (const b of [means(3, 3, 4, 1), means(2, 3, 5, 1)]) {
    expect(() => delta(a, b)).toThrow(expect.objectContaining({
      code: "E_SHAPE", message: `cannot subtract means of ${b.nLayer} layers of width ${b.width} from 2 layers of width 4`,
    }));
  }
});

test("the sides are not changed", () => {
  const [a, b] = [means(2, 3, 4, 1), means(2, 2, 4, 2)];
  const before = [a.means.slice(), b.means.slice()];
  delta(a, b);
  expect([a.means, b.means]).toEqual(before);
});
