/**
 * `LLAMA_STEER_TEST_SLOW=sample`, as CI sets it: the slowest suites check every n-th of their cases. Without it, they check all.
 * The choice is the same every time, so a failure in CI fails here too.
 */
export const isSampled = process.env["LLAMA_STEER_TEST_SLOW"] === "sample";

/** All of them, or every `n`-th one where the slow suites are sampled; the first is always among them. */
export function sampled<T>(cases: readonly T[], n: number): T[] {
  return cases.filter((_, i) => !isSampled || i % n === 0);
}
