import { describe, expect, test } from "@jest/globals";
import { RowCosts } from "../../lib/engine/scheduler/row-costs.js";

/** After decodes of 1, 2, 3 and 8 rows, over and over. */
function after(seconds: (rows: number) => number, nDecodes = 64, costs = new RowCosts()): number {
  for (let i = 0; i < nDecodes; i++) {
    const rows = [1, 2, 3, 8][i % 4]!;
    costs.observe(rows, seconds(rows));
  }
  return costs.relative;
}

describe("what a row costs beside a decode's fixed cost", () => {
  test("is the slope of their durations over where the line begins", () => {
    expect(after((rows) => 0.010 + 0.002 * rows)).toBeCloseTo(0.2, 6);
    expect(after(() => 0.010)).toBe(0);
    expect(after((rows) => 0.002 * rows)).toBeGreaterThan(1e6); // a decode costs nothing else
    expect(after((rows) => 0.010 - 0.0005 * rows)).toBe(0); // nonsense of a busy machine
  });

  test("is typical as long as it is not known", () => {
    const typical = new RowCosts().relative;
    expect(after((rows) => rows, 8)).toBe(typical);
    const same = new RowCosts();
    for (let i = 0; i < 100; i++) same.observe(2, 0.01 + i / 1e5);
    expect(same.relative).toBe(typical);
    expect(after((rows) => rows, 64, new RowCosts(true))).toBe(typical); // and where nothing may depend on a clock
  });

  test("forgets, and shrugs off a decode that was disturbed", () => {
    const costs = new RowCosts();
    after((rows) => 0.010 + 0.010 * rows, 64, costs);
    expect(after((rows) => 0.010 + 0.001 * rows, 1000, costs)).toBeCloseTo(0.1, 4);
    costs.observe(3, 100);
    expect(costs.relative).toBeLessThan(0.15);
  });
});
