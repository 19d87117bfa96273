import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Model } from "../../lib/index.js";
import { ids, letters, loadChatting, rowsOf } from "../support/chats.js";
import { scratch } from "../support/tiny-files.js";

const space = scratch();
let model: Model;
beforeAll(async () => { model = await loadChatting(space, "llama", { ropeScaling: { kind: "linear", factor: 4 } }); });
afterAll(() => {
  model.dispose();
  space[Symbol.dispose]();
});

const roles = (chat: { messages: ReadonlyArray<{ role: string }> }): string[] => chat.messages.map(({ role }) => role);

test("undo takes back the last user message with its answer, one after the other", async () => {
  const chat = model.chat({ ...letters(model), messages: [{ role: "system", content: "Be brief." }] });
  await chat.say("One").result();
  await chat.say("Two").result();
  expect(chat.undo()).toEqual({ role: "user", content: "Two" });
  expect(roles(chat)).toEqual(["system", "user", "assistant"]);
  expect(chat.undo()).toEqual({ role: "user", content: "One" });
  expect(chat.undo()).toBeUndefined();
  expect(chat.messages).toEqual([{ role: "system", content: "Be brief." }]);
});

test("retry replaces the answer once the new one has ended, and only then", async () => {
  const chat = model.chat(letters(model));
  expect(() => chat.retry()).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT" }));
  const first = await chat.say("One").result();
  const stream = chat.retry({ maxNewTokens: 3 });
  await stream.next();
  for (const busy of [() => chat.undo(), () => chat.setSystem("x"), () => chat.retry(), () => chat.reply()]) expect(busy).toThrow(
    expect.objectContaining({ code: "E_BUSY" }),
  );
  await chat.stop();
  expect(chat.messages.at(-1)!.content).toBe(first.answer);
  const again = await chat.retry({ maxNewTokens: 3 }).result();
  expect(again.answer).toBe(first.answer.slice(0, 3));
  expect(chat.messages).toEqual([{ role: "user", content: "One" }, { role: "assistant", content: again.answer }]);
});

test("the system message is set, replaced and removed, and later turns read the new one", async () => {
  const chat = model.chat(letters(model));
  await chat.say("One").result();
  const promptOf = async (): Promise<number> => (await chat.retry().result()).promptTokens;
  const plain = await promptOf();
  chat.setSystem("Be brief.");
  expect(roles(chat)).toEqual(["system", "user", "assistant"]);
  const brief = await promptOf();
  chat.setSystem("Be as brief as you can.");
  expect(await promptOf()).toBeGreaterThan(brief);
  chat.setSystem(undefined);
  expect([roles(chat), await promptOf()]).toEqual([["user", "assistant"], plain]);
});

test("of a reply that is stopped or aborted, what there is of it is kept on request", async () => {
  const whole = await model.chat(letters(model)).say("One").result();
  const end = async (keepPartial: boolean, how: "stop" | "abort"): Promise<unknown> => {
    const abort = new AbortController();
    const chat = model.chat({ ...letters(model), keepPartial });
    const stream = chat.say("One", { signal: abort.signal });
    await stream.next();
    await stream.next();
    if (how === "stop") await chat.stop();
    else {
      abort.abort();
      await expect(stream.next()).rejects.toMatchObject({ code: "E_ABORTED" });
    }
    expect(await chat.say("Two").result()).toMatchObject({ finishReason: "length" });
    return chat.messages.slice(0, -2);
  };
  for (const how of ["stop", "abort"] as const) {
    expect(await end(false, how)).toEqual([]);
    expect(await end(true, how)).toEqual([{ role: "user", content: "One" }, { role: "assistant", content: whole.answer.slice(0, 2) }]);
  }
  const unread = model.chat({ ...letters(model), keepPartial: true });
  await unread.say("One").return();
  expect(unread.messages).toEqual([]);
  expect(() => model.chat({ history: "dirty" as "clean" })).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT" }));
});

test("after an abort while the prompt is read, the next turn reads what was not computed", async () => {
  const question = "x".repeat(700); // more than one batch
  const expected = ids(await model.chat(letters(model)).say(question).result());
  for (let ticks = 0; ticks < 5; ticks++) {
    model.scheduler.forget();
    const chat = model.chat(letters(model));
    const abort = new AbortController();
    const first = chat.say(question, { signal: abort.signal }).text();
    await new Promise((resolve) => setTimeout(resolve, ticks * 4));
    abort.abort();
    await first.catch((error: unknown) => expect(error).toMatchObject({ code: "E_ABORTED" }));
    const { result } = await rowsOf(() => (chat.messages.length > 0 ? chat.retry() : chat.say(question)).result());
    expect(ids(result)).toEqual(expected);
  }
});
