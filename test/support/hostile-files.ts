import { expect } from "@jest/globals";

export const lists = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);

/** Milliseconds of processor time until a refusal with this code: what other programs do does not count. */
export async function refusedIn(work: Promise<unknown>, code: string, message = /./): Promise<number> {
  const begun = process.cpuUsage();
  await expect(work).rejects.toMatchObject({ name: "SteeringError", code, message: expect.stringMatching(message) });
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1000;
}
