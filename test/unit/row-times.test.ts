import { expect, test } from "@jest/globals";
import { RowTimes } from "../../lib/engine/row-times.js";

/** Milliseconds of decodes of 1 to 5 and 8 rows: Gemma 3 270M and Qwen2.5 1.5B on two machines. */
const MEASURED = {
  gemma: [14.6, 24.2, 28.6, 32.1, 52.2, 45.8],
  gemmaElsewhere: [15.3, 20.4, 21.8, 23.3, 25.6, 30.8],
  gpu: [10, 10.1, 10.2, 10.3, 10.4, 10.7],
};

test.each(Object.entries(MEASURED))("%s: alone, guessing pays from the share on at which both orders take as long", (_, times) => {
  const at = (rows: number): number => times[rows - 1]!;
  for (const n of [1, 2, 3]) {
    const share = new RowTimes(times).leastShare(n, 1);
    expect(at(n + 2) + (1 - share) * at(n + 1)).toBeCloseTo(at(n + 1) + at(1), 9);
  }
});

test("sizes that are not measured lie on the line between two that are, or beyond the last two", () => {
  const times = new RowTimes([10, 12, 14, 16, 18, 30]); // 22 and 26 for 6 and 7 rows; 34 for 9, 38 for 10
  expect(times.leastShare(4, 1)).toBeCloseTo((22 - 10) / 18, 9);
  expect(times.leastShare(8, 1)).toBeCloseTo((38 - 10) / 34, 9);
});

test("generations that share decodes need a larger share, the more they are and the more they measure", () => {
  const times = new RowTimes([11, 13, 15, 17, 18.5, 25]); // from four rows on: 9 and 2 per row
  expect(times.leastShare(1, 8)).toBeCloseTo(32 / (9 + 32), 9);
  expect(times.leastShare(3, 8)).toBeCloseTo(64 / (9 + 64), 9);
  const gpu = new RowTimes(MEASURED.gpu);
  expect(gpu.leastShare(1, 8)).toBeLessThan(0.2);
});

test("where five rows take longer than eight, generations that share decodes keep in step: none guesses", () => {
  const times = new RowTimes(MEASURED.gemma);
  expect(times.leastShare(1, 8)).toBe(1);
  expect(times.leastShare(1, 1)).toBeLessThan(0.7);
});
