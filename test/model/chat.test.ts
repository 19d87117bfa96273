import { afterAll, beforeAll, expect, test } from "@jest/globals";
import {
  extract, loadDataset, loadModel, type Chat, type ChatMessage, type GenerateOptions, type Model, type TurnOptions, type VectorData,
} from "../../lib/index.js";
import { chatTokens } from "../../lib/prompt/index.js";
import { datasetsFolder } from "../../lib/dataset/index.js";
import { characterVocabulary } from "../support/chat-templates.js";
import { tinyWithChat } from "../support/tiny-chat.js";
import { scratch } from "../support/tiny-files.js";

const space = scratch();
let model: Model;
let italian: VectorData;
const logged: string[] = [];

const withTemplate = (template?: string, name = "chat"): Promise<string> => tinyWithChat(space.path(`${name}.gguf`), template);

beforeAll(async () => {
  model = await loadModel(await withTemplate(), { threads: 1, logger: (level, message) => logged.push(`${level} ${message}`) });
  const folder = datasetsFolder("tiny");
  italian = await extract(
    model, { strength: false, positive: await loadDataset("ITA", folder), negative: await loadDataset("ENG", folder), support: 10 },
  );
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
  const alone = await model.generate(await chatTokens(model, chat.messages.slice(0, -1)), { maxNewTokens: 12 }).result();
  expect(next.tokens.map(({ token }) => token)).toEqual(alone.tokens.map(({ token }) => token));
  expect(next.promptTokens).toBeGreaterThan(plain.promptTokens * 2);
});

test.each(["clean", "as-generated"] as const)("%s: a chat that keeps what it computed says what it says without", async (history) => {
  const talk = async (before: () => void): Promise<number[][]> => {
    const chat = model.chat({ maxNewTokens: 10, history });
    const answers = [];
    for (const [turn, question] of [FIRST, SECOND, FIRST, SECOND].entries()) {
      before();
      const steer = turn % 2 === 1 ? { steer: { vector: italian, schedule: { kind: "fixed" as const, alpha: 1 } } } : {};
      answers.push((await chat.say(question, steer).result()).tokens.map(({ token }) => token));
    }
    return answers;
  };
  const without = await talk(() => model.scheduler.forget());
  expect(await talk(() => undefined)).toEqual(without);
  expect(new Set(without.map(String)).size).toBeGreaterThan(1);
});

test("options of the chat count for every turn that has no other", async () => {
  const steer = { vector: italian, schedule: { kind: "fixed" as const, alpha: 1 } };
  const chat = model.chat({ maxNewTokens: 6, steer, messages: [{ role: "user", content: FIRST }] });
  const [steered, expected] = [
    await chat.reply().result(),
    await model.chat({ messages: [{ role: "user", content: FIRST }] }).reply({ maxNewTokens: 6, steer }).text(),
  ];
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
  expect(() => chat.say(SECOND, { steer: { vector: italian, schedule: { kind: "fixed", alpha: NaN } } })).toThrow(expect.objectContaining({
    code: "E_BAD_SPEC",
  }));
  expect(await chat.say(SECOND).text()).not.toBe("");
  expect(chat.messages).toHaveLength(4);
});

test("the model's methods give what the functions behind them give", async () => {
  const captured = [];
  for await (const one of model.capture(
    ["steer", model.tokenise("steer")], { site: "resid_post", maxNewTokens: 2, layers: [1] },
  )) captured.push(one);
  expect(captured.map(({ prompt, layers, nSteps, width }) => ({ prompt, layers, nSteps, width }))).toEqual([0, 1].map(
    (prompt) => ({ prompt, layers: [1], nSteps: 2, width: model.info.nEmbd }),
  ));
  expect(captured[0]!.data).toEqual(captured[1]!.data);
  const scores = await model.score("Q:What?\nA:", "A picnic.");
  expect(scores).toHaveLength(model.tokenise("A picnic.", { bos: false }).length);
  expect(scores.every((score) => score < 0)).toBe(true);
});

test("a logger is told of loading and of contexts; the console of nothing", () => {
  expect(logged[0]).toMatch(/^info .*chat.gguf.*loaded in \d+\.\d\d s, after a check/);
  expect(logged).toContainEqual(expect.stringMatching(/^debug a context of 4096 cells and 16 sequences, 1 threads, created in/));
});

const turns = (answer: string, question = "And Italy?"): ChatMessage[] => [
  { role: "user", content: "Capital of France?" }, { role: "assistant", content: answer }, { role: "user", content: question },
];

test("in a chat, a template may cut what the model thought before it answered; elsewhere nothing", async () => {
  const template = "{% for m in messages %}{% set c = m['content'] %}{% if m['role'] == 'assistant' and '</think>' in c %}{% set c = "
    + "c.split('</think>')[-1].lstrip('\\n') %}{% endif %}[{{ m['role'] }}]{{ c }}{% endfor %}[assistant]";
  for (const special of [[], [{ text: "<think>" }, { text: "</think>" }]]) {
    const vocabulary = characterVocabulary(template, special);
    const written = await chatTokens(vocabulary, turns("<think>\nhm\n</think>\n\nParis."), { mayCut: true });
    expect(vocabulary.text(written)).toBe("[user]Capital of France?[assistant]Paris.[user]And Italy?[assistant]");
  }
  await expect(chatTokens(characterVocabulary(template), turns("<think>hm</think>Paris."))).rejects.toMatchObject({
    code: "E_BAD_ARGUMENT", message: expect.stringMatching(/cuts out part/),
  });
});

test("of gpt-oss' answers the final channel goes into the next turn", async () => {
  const template = "{% for m in messages %}{% if m.role == 'assistant' and '<|channel|>' in m.content %}{{ raise_exception('channel tags') "
    + "}}{% endif %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}<|start|>assistant";
  const vocabulary = characterVocabulary(
    template, ["<|channel|>", "<|start|>", "<|message|>"].map((text) => ({ text, isUserDefined: true })),
  );
  const next = async (answer: string): Promise<string> =>
    vocabulary.text(await chatTokens(vocabulary, turns(answer), { mayCut: true })).split("<|message|>")[2]!.split("<|end|>")[0]!;
  const thinking = "<|channel|>analysis<|message|>hm<|start|>assistant";
  expect(await next(`${thinking}<|channel|>final<|message|>Paris.`)).toBe("Paris.");
  expect(await next(`${thinking}<|channel|>final <|constrain|>json<|message|>{}`)).toBe("{}");
  expect(await next(thinking)).toBe(""); // it ended before it answered
  expect(await next("Paris.")).toBe("Paris.");
});

test("a turn whose template does not end can be stopped at once, and the chat goes on", async () => {
  const endless = await loadModel(
    await withTemplate("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "endless"), { threads: 1 },
  );
  const chat = endless.chat({ maxNewTokens: 1 });
  const begun = performance.now();
  await expect(chat.say(FIRST, { signal: AbortSignal.timeout(100) }).text()).rejects.toMatchObject({ code: "E_ABORTED" });
  const stopped = chat.say(FIRST).text();
  await Promise.all([expect(stopped).rejects.toMatchObject({ code: "E_ABORTED" }), chat.stop()]);
  expect(performance.now() - begun).toBeLessThan(4_000); // the template's own time is 5 s
  expect(chat.messages).toEqual([]);
  endless.dispose();
  // once the others' time is over
  expect(await model.chat({ maxNewTokens: 1 }).say(FIRST).result()).toMatchObject({ finishReason: "length" });
});

test("variables of the template are given per chat or per turn", async () => {
  const moody = await loadModel(
    await withTemplate("{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% endfor %}{{ mood }}<|assistant|>", "mood"),
    { threads: 1 },
  );
  const ask = async (chat: Chat, options: TurnOptions = {}): Promise<number> =>
    (await chat.say(FIRST, { maxNewTokens: 1, ...options }).result()).promptTokens;
  const plain = await ask(moody.chat());
  const given = { templateVariables: { mood: "Calmly. Calmly." } };
  expect(await ask(moody.chat(given))).toBeGreaterThan(plain);
  expect(await ask(moody.chat(), given)).toBe(await ask(moody.chat(given)));
  expect(await ask(moody.chat(given), { templateVariables: {} })).toBe(plain);
  for (const templateVariables of [{ messages: [] }, { mood: () => "no" }, { mood: NaN }, { mood: new Date() }]) {
    await expect(ask(moody.chat(), { templateVariables })).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringMatching(/templateVariables/),
    });
  }
  moody.dispose();
});

test("a reply that is stopped is not remembered, and an option that is undefined is none", async () => {
  const chat = model.chat({ maxNewTokens: 3 });
  await chat.say(FIRST).next();
  await chat.stop();
  expect(chat.messages).toEqual([]);
  expect((await chat.say(FIRST, { maxNewTokens: undefined } as unknown as GenerateOptions).result()).tokens.length).toBeLessThanOrEqual(3);
  await chat.stop(); // nothing to stop
});
