import { readFile, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { extract, loadDataset, loadModel, type GenerateOptions, type Model, type VectorData } from "../../lib/index.js";
import { chatTokens } from "../../lib/generate/index.js";
import { datasetsFolder } from "../../lib/dataset/index.js";
import { findModel, modelPath } from "../../lib/io/registry.js";
import { scratch } from "../support/tiny-files.js";

const space = scratch();
let model: Model;
let italian: VectorData;
const logged: string[] = [];

/** `tiny` with a template for chats of any length in the place of its own, which is that of a guard. */
async function tinyWithChat(): Promise<string> {
  const bytes = await readFile(modelPath(findModel("tiny")));
  const begin = bytes.indexOf("<|user|>Is the last message safe?");
  const end = bytes.indexOf("<|end|><|assistant|>", begin) + "<|end|><|assistant|>".length;
  const template = "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}<|assistant|>";
  bytes.write(template.replace("{%", `{%${" ".repeat(end - begin - template.length)}`), begin);
  const path = space.path("chat.gguf");
  await writeFile(path, bytes);
  return path;
}

beforeAll(async () => {
  model = await loadModel(await tinyWithChat(), { threads: 1, logger: (level, message) => logged.push(`${level} ${message}`) });
  const folder = datasetsFolder("tiny");
  italian = await extract(model, { positive: await loadDataset("ITA", folder), negative: await loadDataset("ENG", folder), support: 10 });
});

afterAll(() => {
  model.dispose();
  space[Symbol.dispose]();
});

const FIRST = "How do I plan the picnic?";
const SECOND = "How do I clean the window?";

test("a chat remembers what was said, and each turn is steered in its own way", async () => {
  const chat = model.chat({ maxNewTokens: 12 });
  const plain = await chat.say(FIRST).result();
  const steered = await chat.say(FIRST, { steer: { vector: italian, schedule: { kind: "fixed", alpha: 1 } } }).result();
  expect(chat.messages).toEqual([
    { role: "user", content: FIRST }, { role: "assistant", content: plain.text },
    { role: "user", content: FIRST }, { role: "assistant", content: steered.text },
  ]);
  expect(steered.text).not.toBe(plain.text);
  // The history is read as any prompt would be: unsteered, whatever steered the turns.
  const next = await chat.say(SECOND).result();
  const alone = await model.generate(chatTokens(model, chat.messages.slice(0, -1)), { maxNewTokens: 12 }).result();
  expect(next.tokens.map(({ token }) => token)).toEqual(alone.tokens.map(({ token }) => token));
  expect(next.promptTokens).toBeGreaterThan(plain.promptTokens * 2);
});

test("options of the chat count for every turn that has no other", async () => {
  const steer = { vector: italian, schedule: { kind: "fixed" as const, alpha: 1 } };
  const chat = model.chat({ maxNewTokens: 6, steer, messages: [{ role: "user", content: FIRST }] });
  const [steered, expected] = [await chat.reply().result(), await model.chat({ messages: [{ role: "user", content: FIRST }] }).reply({ maxNewTokens: 6, steer }).text()];
  expect([steered.text, steered.steering.length]).toEqual([expected, 1]);
  expect((await chat.say(SECOND, { steer: [] }).result()).steering).toEqual([]);
});

test("a reply that is left or fails is not remembered, and none is begun beside another", async () => {
  const chat = model.chat({ maxNewTokens: 8, messages: [{ role: "user", content: FIRST }, { role: "assistant", content: "Yes." }] });
  const before = [...chat.messages];
  for await (const _ of chat.say(SECOND)) {
    expect(() => chat.say("And?")).toThrow(expect.objectContaining({ code: "E_BUSY" }));
    break;
  }
  expect(chat.messages).toEqual(before);
  await expect(chat.say(SECOND, { signal: AbortSignal.abort() }).text()).rejects.toMatchObject({ code: "E_ABORTED" });
  expect(chat.messages).toEqual(before);
  await chat.say(SECOND).return();
  expect(() => chat.say(SECOND, { steer: { vector: italian, schedule: { kind: "fixed", alpha: NaN } } })).toThrow(expect.objectContaining({ code: "E_BAD_SPEC" }));
  expect(await chat.say(SECOND).text()).not.toBe("");
  expect(chat.messages).toHaveLength(4);
});

test("the model's methods give what the functions behind them give", async () => {
  const captured = [];
  for await (const one of model.capture(["steer", model.tokenise("steer")], { site: "resid_post", maxNewTokens: 2, layers: [1] })) captured.push(one);
  expect(captured.map(({ prompt, layers, nSteps, width }) => ({ prompt, layers, nSteps, width }))).toEqual([0, 1].map((prompt) => ({ prompt, layers: [1], nSteps: 2, width: model.info.nEmbd })));
  expect(captured[0]!.data).toEqual(captured[1]!.data);
  const scores = await model.score("Q:What?\nA:", "A picnic.");
  expect(scores).toHaveLength(model.tokenise("A picnic.", { bos: false }).length);
  expect(scores.every((score) => score < 0)).toBe(true);
});

test("a logger is told of loading and of contexts; the console of nothing", () => {
  expect(logged[0]).toMatch(/^info .*chat.gguf.*loaded in \d+\.\d\d s, after a check/);
  expect(logged).toContainEqual(expect.stringMatching(/^debug a context of 4096 cells and 16 sequences, 1 threads, made in/));
});

test("what a model thought before it answered may be left out of the history by its template; nothing else may", () => {
  const template = "{% for m in messages %}{% set c = m['content'] %}{% if m['role'] == 'assistant' and '</think>' in c %}{% set c = c.split('</think>')[-1].lstrip('\\n') %}{% endif %}[{{ m['role'] }}]{{ c }}{% endfor %}[assistant]";
  const vocabulary = { tokenise: (text: string) => Array.from(text, (letter) => letter.codePointAt(0)!), info: { bosToken: null, chatTemplate: template, path: "thinking.gguf" } };
  const turns = (answer: string, question = "And Italy?") => [{ role: "user" as const, content: "Capital of France?" }, { role: "assistant" as const, content: answer }, { role: "user" as const, content: question }];
  const written = String.fromCodePoint(...chatTokens(vocabulary, turns("<think>\nhm\n</think>\n\nParis."), { mayCutThoughts: true }));
  expect(() => chatTokens(vocabulary, turns("<think>hm</think>Paris."))).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT" })); // a guard must see all of it
  expect(written).toBe("[user]Capital of France?[assistant]Paris.[user]And Italy?[assistant]");
});

test("a reply that is stopped is not remembered, and an option that is undefined is none", async () => {
  const chat = model.chat({ maxNewTokens: 3 });
  await chat.say(FIRST).next();
  await chat.stop();
  expect(chat.messages).toEqual([]);
  expect((await chat.say(FIRST, { maxNewTokens: undefined } as unknown as GenerateOptions).result()).tokens.length).toBeLessThanOrEqual(3);
  await chat.stop(); // nothing to stop
});
