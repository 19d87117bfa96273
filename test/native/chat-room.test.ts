import { afterAll, afterEach, expect, jest, test } from "@jest/globals";
import type { LoadModelOptions, Model } from "../../lib/index.js";
import { Context, type StepResult } from "../../lib/engine/index.js";
import { ids, letters, loadChatting, rowsOf } from "../support/chats.js";
import { randomVector, scratch } from "../support/tiny-files.js";

// What chats have left in the cache takes no room from anybody.
const space = scratch();
const loaded: Model[] = [];
afterEach(() => {
  jest.restoreAllMocks();
  for (const model of loaded.splice(0)) model.dispose();
});
afterAll(() => space[Symbol.dispose]());

const load = async (options: LoadModelOptions, name = "llama"): Promise<Model> => {
  loaded.push(await loadChatting(space, name, { ropeScaling: { kind: "linear", factor: 4 }, ...options })); // for 1024 tokens
  return loaded.at(-1)!;
};

const [FIRST, SECOND] = ["Hello there, my old friend.", "And now?"];

/** A generation that takes all cells of a context of 512, after a prompt of so many tokens. */
const wholeContext = (model: Model, nPrompt: number): Promise<unknown> =>
  model.generate(
    Array.from({ length: nPrompt }, (_, i) => 3 + i % 200), { maxNewTokens: 512 - nPrompt, sampling: { logitBias: { 2: -Infinity } } },
  ).result();

test.each(["llama", "mamba"])("%s: after a hundred turns every cell and sequence is free, but for those of the last turn", async (name) => {
  const model = await load({ contextSize: 512, maxSequences: 3 }, name);
  const vector = await randomVector(model, 1, { site: "resid_post", nSteps: 1 });
  const chat = model.chat({
    ...letters(model, 2), messages: [{ role: "user", content: FIRST }], steer: { vector, schedule: { kind: "fixed", alpha: 1 } },
  });
  for (let turn = 0; turn < 100; turn++) {
    if (turn % 10 === 9) chat.setSystem(`Turn ${turn}.`);
    if (turn % 7 === 6) await chat.retry().next(); // left at once
    await chat.stop();
    await chat.retry(turn % 2 === 0 ? { steer: [] } : {}).result();
  }
  const { rows } = await rowsOf(() => chat.retry().result());
  expect(rows).toBe(name === "llama" ? 2 : (await chat.retry().result()).promptTokens + 1);
  await wholeContext(model, 400); // would be without room if a cell had been lost
  await model.generate(FIRST, { maxNewTokens: 2, steer: { vector, schedule: { kind: "dynamic" } } }).result(); // takes all sequences
}, 60_000);

test("kept cells give way to a generation that needs their sequence or their room, and the chat goes on as it was", async () => {
  for (const options of [{ contextSize: 512, maxSequences: 1 }, { contextSize: 512, maxSequences: 4 }]) {
    const model = await load(options);
    const chat = model.chat(letters(model));
    await chat.say(FIRST).result();
    const expected = ids(await chat.say(SECOND).result());
    chat.undo();
    await wholeContext(model, 300);
    const { rows, result } = await rowsOf(() => chat.say(SECOND).result());
    expect(ids(result)).toEqual(expected);
    expect(rows).toBe(result.promptTokens - 1 + 5); // all is read again
  }
});

test("more chats than there are sequences take turns; each is what it is alone", async () => {
  const model = await load({ maxSequences: 3 });
  const questions = Array.from({ length: 8 }, (_, i) => `${i} ${FIRST}`);
  const alone: number[][] = [];
  for (const question of questions) {
    const chat = model.chat(letters(model));
    await chat.say(question).result();
    alone.push(ids(await chat.say(SECOND).result()));
    model.scheduler.forget();
  }
  const chats = questions.map(() => model.chat(letters(model)));
  await Promise.all(chats.map((chat, i) => chat.say(questions[i]!).result()));
  expect((await Promise.all(chats.map((chat) => chat.say(SECOND).result()))).map(ids)).toEqual(alone);
});

test("beside generations that join and leave, a chat is what it is alone", async () => {
  const model = await load({ maxSequences: 6 });
  const vector = await randomVector(model, 2, { site: "resid_post", nSteps: 2, scale: 1 });
  const steer = { vector, schedule: { kind: "dynamic" as const, topP: 0.8 } };
  const talk = async (): Promise<number[][]> => {
    const chat = model.chat(letters(model));
    const answers = [];
    for (const [i, question] of [FIRST, SECOND, "Why?", "So"].entries()) answers.push(ids(
      await chat.say(question, i % 2 === 1 ? { steer } : {}).result(),
    ));
    return answers;
  };
  const alone = await talk();
  let isOver = false;
  const others = [1, 2, 3].map(async (i) => {
    for (let round = 0; !isOver; round++) {
      const stream = model.generate(`${"x".repeat(40 * i)} ${round}`, { maxNewTokens: 6, ...(i === 1 && { steer }) });
      for await (const { step } of stream) if (step === round % 5) break;
    }
  });
  const beside = await talk();
  isOver = true;
  await Promise.all(others);
  expect(beside).toEqual(alone);
});

test("in a context that was made anew, a chat reads all again and goes on as it was", async () => {
  const model = await load({ contextSize: 512 });
  const broken = await randomVector(model, 4, { nSteps: 4, scale: 3e38 });
  for (const renew of [
    () => model.generate(FIRST, { maxNewTokens: 600 }).result(), // needs a larger one
    () => expect(model.generate("abc", { steer: { vector: broken, schedule: { kind: "fixed", alpha: 1 } } }).text()).rejects.toMatchObject(
      { code: "E_NOT_FINITE" },
    ),
  ]) {
    const chat = model.chat(letters(model));
    await chat.say(FIRST).result();
    const expected = ids(await chat.say(SECOND).result());
    chat.undo();
    await renew();
    const { rows, result } = await rowsOf(() => chat.say(SECOND).result());
    expect([ids(result), rows]).toEqual([expected, result.promptTokens - 1 + 5]);
  }
});

test("a chat whose answer fails, or whose model is disposed of, leaves nothing behind that others trip over", async () => {
  const model = await load({});
  const broken = await randomVector(model, 4, { nSteps: 4, scale: 3e38 });
  const chat = model.chat(letters(model));
  const first = ids(await chat.say(FIRST).result());
  await expect(chat.say(SECOND, { steer: { vector: broken, schedule: { kind: "fixed", alpha: 1 } } }).text()).rejects.toMatchObject({
    code: "E_NOT_FINITE",
  });
  expect(chat.messages).toHaveLength(2);
  expect(ids(await chat.retry().result())).toEqual(first);
  const pending = chat.say(SECOND).text();
  model.dispose();
  await expect(pending).rejects.toMatchObject({ code: "E_DISPOSED" });
  model.scheduler.forget();
  await model.scheduler.ended();
});

test("a turn that is left while it is computed again, with fewer sequences than before, harms nobody", async () => {
  const model = await load({});
  const vector = await randomVector(model, 4, { site: "resid_post", nSteps: 1, scale: 1 });
  const dynamic = { vector, schedule: { kind: "dynamic" } } as const;
  for (const history of ["clean", "as-generated"] as const) {
    const other = model.generate("abc", { maxNewTokens: 4 });
    await other.next();
    const stream = model.chat({ ...letters(model), history }).say(FIRST, { steer: [dynamic, dynamic, dynamic] });
    await stream.next();
    for (const steering of stream.steering) steering.schedule = { kind: "fixed" };
    await stream.add(dynamic);
    model.scheduler.forget();
    const { decode } = Context.prototype;
    jest.spyOn(Context.prototype, "decode").mockImplementationOnce(async function (this: Context, batch, ...more): Promise<StepResult> {
      const result = await decode.call(this, batch, ...more);
      expect(batch.size).toBeGreaterThan(20); // the prompt
      void stream.return(undefined as never);
      return result;
    });
    await expect(stream.next()).rejects.toMatchObject({ code: "E_ABORTED" });
    expect((await other.result()).tokens).toHaveLength(4);
  }
});
