import { expect } from "@jest/globals";

/** Lists of one length whose values agree to so many digits after the decimal point. */
export function expectClose(found: ArrayLike<number>, wanted: ArrayLike<number>, digits = 9): void {
  expect(found.length).toBe(wanted.length);
  Array.from(wanted).forEach((value, i) => expect(found[i]).toBeCloseTo(value, digits));
}
