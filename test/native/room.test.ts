import { expect, test } from "@jest/globals";
import type { GenerationResult, GenerationStream } from "../../lib/index.js";
import { tinyForFile } from "../support/file-model.js";
import { randomVector } from "../support/tiny-files.js";

const { model } = await tinyForFile({ maxSequences: 2 });
const maxNewTokens = 6;
/** Two at once fit. */

const ids = ({ tokens }: GenerationResult): number[] => tokens.map(({ token }) => token);
const begun = async (prompt = "steer"): Promise<GenerationStream> => {
  const stream = model.generate(prompt, { maxNewTokens });
  await stream.next();
  return stream;
};

const alone = await model.generate("steer", { maxNewTokens }).result();

test("more than there is room for, read in lockstep: all come to their end, as each does alone", async () => {
  const streams = Array.from({ length: 4 }, () => model.generate("steer", { maxNewTokens }));
  for (let step = 0; step < 2; step++) await Promise.all(streams.map((stream) => stream.next()));
  for (const result of await Promise.all(streams.map((stream) => stream.result()))) expect(ids(result)).toEqual(ids(alone));
});

test("one that is left unread gives up its room where another waits, and goes on as it was", async () => {
  const unread = [await begun(), await begun()];
  expect(ids(await model.generate("steer", { maxNewTokens }).result())).toEqual(ids(alone));
  for (const stream of unread) expect(ids(await stream.result())).toEqual(ids(alone));
});

test("a generation that becomes dynamic beside unread ones finds room for its streams", async () => {
  const vector = await randomVector(model, 3, { nSteps: 4, scale: 1 });
  const stream = model.generate("steer", { maxNewTokens, steer: { vector, schedule: { kind: "fixed", alpha: 0 } } });
  await stream.next();
  const unread = await begun();
  stream.steering[0]!.schedule = { kind: "dynamic", topP: 0.9 };
  expect((await stream.result()).tokens[1]!.readings[0]!.kl).not.toBeNull();
  expect(ids(await unread.result())).toEqual(ids(alone));
});

test("one that waits can be left", async () => {
  const unread = [await begun(), await begun()];
  const waiting = model.generate("steer", { maxNewTokens });
  const pending = waiting.next();
  await Promise.all([waiting.return(), expect(pending).rejects.toMatchObject({ code: "E_ABORTED" })]);
  const disposed = model.generate("steer", { maxNewTokens });
  const text = disposed.text();
  await Promise.all([disposed[Symbol.asyncDispose](), expect(text).rejects.toMatchObject({ code: "E_ABORTED" })]);
  await Promise.all(unread.map((stream) => stream.return()));
});

test("numbers that broke down in one generation keep no other from starting, and an unread one goes on as it was", async () => {
  const broken = await randomVector(model, 4, { nSteps: 4, scale: 3e38 });
  const unread = await begun();
  await expect(model.generate("steer", { steer: { vector: broken, schedule: { kind: "fixed", alpha: 1 } } }).text()).rejects.toMatchObject(
    { code: "E_NOT_FINITE" },
  );
  expect(ids(await model.generate("steer", { maxNewTokens }).result())).toEqual(ids(alone));
  expect(ids(await unread.result())).toEqual(ids(alone));
});
