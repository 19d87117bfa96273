import { expect, test } from "@jest/globals";
import { bootstrap, median, quantile, share } from "../../lib/maths/statistics.js";
import { seededRandom } from "../../lib/maths/random.js";
import { mean } from "../support/linear.js";


test("quantiles lie between neighbours, whatever the order", () => {
  expect([0, 0.25, 0.5, 1].map((q) => quantile([4, 1, 3, 2], q))).toEqual([1, 1.75, 2.5, 4]);
  expect(quantile([7], 0.3)).toBe(7);
  expect(quantile([], 0.5)).toBeNaN();
  expect(quantile([1, Infinity, Infinity], 0.75)).toBe(Infinity);
});

// Known: of 8 hits in 10, Wilson's interval is 0.490 to 0.943; of 0 in 10, 0 to 0.278.
test("shares have Wilson's interval", () => {
  expect(share(8, 10)).toEqual({ value: 0.8, low: expect.closeTo(0.4902, 4), high: expect.closeTo(0.9433, 4) });
  expect(share(0, 10)).toEqual({ value: 0, low: 0, high: expect.closeTo(0.2775, 4) });
  expect(share(10, 10).high).toBeCloseTo(1, 12);
  expect(share(10, 10).low).toBeCloseTo(0.7225, 4);
});

test("a bootstrap interval holds the true value about as often as it says", () => {
  const random = seededRandom(5);
  let [held, heldMedian] = [0, 0];
  for (let round = 0; round < 100; round++) {
    const values = Array.from({ length: 40 }, () => random() + random()); // of mean and median 1
    const [ofMean, ofMedian] = [bootstrap(values, mean), median(values)];
    expect(ofMean.value).toBeCloseTo(mean(values), 12);
    held += Number(ofMean.low <= 1 && 1 <= ofMean.high);
    heldMedian += Number(ofMedian.low <= 1 && 1 <= ofMedian.high);
  }
  for (const share of [held / 100, heldMedian / 100]) {
    expect(share).toBeGreaterThan(0.88);
    expect(share).toBeLessThan(0.995);
  }
});

test("the same values have the same interval, and one value has none to speak of", () => {
  const values = [3, 1, 2, 8];
  expect(median(values)).toEqual(median([...values]));
  expect(median([5])).toEqual({ value: 5, low: 5, high: 5 });
});
