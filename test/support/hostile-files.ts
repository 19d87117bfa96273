import { expect } from "@jest/globals";

export const lists = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);

/** Milliseconds until a refusal with this code. */
export async function refusedIn(work: Promise<unknown>, code: string, message = /./): Promise<number> {
  const begun = performance.now();
  await expect(work).rejects.toMatchObject({ name: "SteeringError", code, message: expect.stringMatching(message) });
  return performance.now() - begun;
}
