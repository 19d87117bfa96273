import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import {
  replay, type GenerationResult, type Model, type ScheduleInput, type SteeredPhase, type Steering, type VectorData,
} from "../../lib/index.js";
import { measureKl } from "../../lib/calibrate/index.js";
import { Batch, Context, type StepResult } from "../../lib/engine/index.js";
import { answerPrompt } from "../../lib/evaluate/index.js";
import { judgedText } from "../../lib/results/index.js";
import { ids, letters, loadChatting } from "../support/chats.js";
import { allLayers, digits, randomVector, scratch } from "../support/tiny-files.js";

const space = scratch();
let model: Model;
let vector: VectorData;
beforeAll(async () => {
  model = await loadChatting(space, "llama");
  vector = await randomVector(model, 1, { site: "resid_post", nSteps: 3, scale: 1 });
});
afterAll(() => {
  model.dispose();
  space[Symbol.dispose]();
});

const steering = (schedule: ScheduleInput, ...phases: SteeredPhase[]): Steering => ({
  vector, schedule, ...(phases.length > 0 && { phases }),
});
const fixed = { kind: "fixed" as const, alpha: 2 };
const alphas = ({ tokens }: GenerationResult): number[] => tokens.map(({ readings }) => readings[0]!.alpha);

/** Runs `work` while one token reads as another text. */
async function readingAs<T>(token: number, text: string, work: () => Promise<T>): Promise<T> {
  const bytes = Buffer.from(text);
  const own = model.detokenise.bind(model);
  model.detokenise = (tokens) => (tokens.length === 1 && tokens[0] === token ? bytes : own(tokens));
  const { decode } = Context.prototype;
  const spy = jest.spyOn(Context.prototype, "decode").mockImplementation(async function (this: Context, ...given): Promise<StepResult> {
    const result = await decode.apply(this, given);
    return { ...result, samples: result.samples.map((sample) => (sample.token === token ? { ...sample, bytes } : sample)) };
  });
  try {
    return await work();
  } finally {
    model.detokenise = own;
    spy.mockRestore();
  }
}

test.each([
  ["in the first piece that is scored at once", "hm</think>"],
  ["in the middle of the second", "hm, that is not easy to say, is it?</think>"],
])("a given text is steered where its answer begins, %s, and a vector's steps count from there", async (_, before) => {
  const [prompt, thought, answer] = ["Why?<think>", before, "So it is."].map((text, i) =>
    model.tokenise(text, { bos: i === 0 })) as [number[], number[], number[]];
  const text = [...thought, ...answer];
  const score = (steer: Steering[], from = 0): Promise<number[]> => model.score(
    [...prompt, ...text.slice(0, from)], text.slice(from), { steer },
  );
  const plain = await score([]);
  const steered = await score([steering(fixed)]);
  const n = thought.length;
  expect(steered.slice(0, n)).toEqual(plain.slice(0, n));
  expect(steered[n]).not.toBeCloseTo(plain[n]!, 3);
  (await score([steering(fixed)], n)).forEach((value, i) => expect(value).toBeCloseTo(steered[n + i]!, digits(4)));
  // While it thinks: from the start, but no more when it answers.
  const thinking = await score([steering(fixed, "thinking")]);
  const everywhere = await score([steering(fixed, "thinking", "answer")]);
  expect(thinking.slice(0, n)).toEqual(everywhere.slice(0, n));
  const recorded = [...text.keys()].map((i) => (i < n ? 2 : 0));
  expect(thinking).toEqual(await score([steering({ kind: "recorded", alphas: recorded }, "thinking", "answer")]));
});

test("a generation's tokens tell their phase; schedules and Dyn count in the answer alone, and replay gives the same", async () => {
  const prompt = "Why?<think>";
  const options = letters(model, 6);
  const plain = await model.generate(prompt, options).result();
  expect(plain).toMatchObject({ thoughts: plain.text, answer: "" });
  expect(plain.tokens.every(({ phase }) => phase === "thinking")).toBe(true);
  const close = ids(plain).find((token, i, all) => i > 0 && all.indexOf(token) === i)!;
  const at = ids(plain).indexOf(close);
  await readingAs(close, "</think>\n", async () => {
    const schedules: ScheduleInput[] = [
      { kind: "start", alpha: 2 }, { kind: "window", alpha: 1, from: 1, to: 2 }, fixed, { kind: "dynamic", topP: 0.9, klReduction: "sum" },
    ];
    for (const schedule of schedules) {
      const result = await model.generate(prompt, { ...options, steer: steering(schedule) }).result();
      expect(ids(result).slice(0, at + 1)).toEqual(ids(plain).slice(0, at + 1)); // the thought is not steered
      expect(result.tokens.slice(0, at + 2).map(({ phase }) => phase)).toEqual([...Array<string>(at + 1).fill("thinking"), "answer"]);
      expect(result.thoughts).toBe(plain.text.slice(0, at));
      expect(result.answer).toBe(result.text.slice(at + "</think>\n".length));
      const { kind } = schedule as { kind: string };
      const [before, inAnswer] = [alphas(result).slice(0, at + 1), alphas(result).slice(at + 1)];
      expect(before.every((alpha) => alpha === 0)).toBe(true);
      if (kind === "start") expect(inAnswer).toEqual(inAnswer.map((_, i) => (i === 0 ? 2 : 0)));
      if (kind === "window") expect(inAnswer).toEqual(inAnswer.map((_, i) => (i === 1 ? 1 : 0)));
      if (kind === "dynamic") {
        expect(result.tokens.map(({ readings }) => readings[0]!.kl !== null)).toEqual(result.tokens.map((_, i) => i > at));
        expect(inAnswer.some((alpha) => alpha > 0)).toBe(true);
      }
      const again = await model.generate(prompt, { ...options, steer: replay(steering(schedule), result) }).result();
      expect(again.tokens.map(({ token }) => token)).toEqual(ids(result));
      again.tokens.forEach(({ logProbability }, i) => expect(logProbability).toBeCloseTo(result.tokens[i]!.logProbability!, digits(4)));
    }
  });
});

test("evaluators get the answer without its thought; the KL counts both, and ΔPPL too", async () => {
  const [prompt, maxNewTokens] = ["Why?<think>", 6];
  const plain = await model.generate(prompt, { ...letters(model, maxNewTokens), sampling: {} }).result();
  const close = ids(plain).find((token, i, all) => i > 0 && all.indexOf(token) === i)!;
  const tokens = model.tokenise(prompt);
  const settings = [{ label: "plain", prompt: "no-icl" as const, steer: [] }];
  const asked = { question: "Why?", gold: "", stop: [], noIcl: tokens, icl: tokens, iclLanguage: undefined };
  const answer = async () => (await answerPrompt(model, 0, asked, { settings, vectors: [], maxNewTokens }))[0]!;
  expect(await answer()).toMatchObject({ text: plain.text, answer: "", tokens: ids(plain), deltaPerplexity: expect.any(Number) });
  await readingAs(close, "</think>\n", async () => {
    const record = await answer();
    expect(record.answer).not.toBe("");
    expect(record.text.endsWith(`</think>\n${record.answer}`)).toBe(true);
    expect(judgedText(record)).toBe(record.answer);
    const { answer: _, ...older } = record;
    expect(judgedText(older)).toBe(record.text);
  });
  const steered = await randomVector(model, 1, { site: "resid_post", nSteps: 3, scale: 1 });
  const [point] = await measureKl(model, steered, { alphas: [2], questions: [prompt], maxNewTokens, format: "raw" });
  expect(point!.mean).toBeGreaterThan(0.01);
});

test("a thought never reaches the history of a chat, unless asked", async () => {
  const thinking = Object.assign(await loadChatting(space, "llama"), {});
  Object.assign(thinking.info, { chatTemplate: `${thinking.info.chatTemplate}<think>` });
  const own = model;
  model = thinking;
  try {
    const first = await thinking.chat(letters(thinking, 6)).say("Why?").result();
    const close = ids(first).find((token, i, all) => i > 0 && all.indexOf(token) === i)!;
    await readingAs(close, "</think>\n", async () => {
      for (const keepThoughts of [false, true]) {
        const chat = thinking.chat({ ...letters(thinking, 6), keepThoughts });
        const { thoughts, answer, text } = await chat.say("Why?").result();
        expect([thoughts, answer].every((part) => part !== "")).toBe(true);
        expect(chat.messages.at(-1)).toEqual({ role: "assistant", content: keepThoughts ? `<think>${text}` : answer });
        expect((await chat.say("So?").result()).promptTokens).toBeGreaterThan(first.promptTokens);
      }
    });
  } finally {
    thinking.dispose();
    model = own;
  }
});

test("on the prompt and the answer, a vector is to the last bits llama.cpp's own control vector", async () => {
  const layers = allLayers(model).slice(1);
  const one = await randomVector(model, 5, { site: "resid_post", layers, nSteps: 1, scale: 1 });
  const [prompt, text] = [model.tokenise("Hello there"), model.tokenise("you", { bos: false })];
  using theirs = await model.createContext({ nCtx: 64, nSeqMax: 1 });
  theirs.setControlVector(one.data.map((value) => 2 * value));
  const batch = new Batch();
  const all = [...prompt, ...text];
  all.slice(0, -1).forEach((token, position) => batch.add(token, position, 0, { output: position >= prompt.length - 1 }));
  for (const [i, token] of text.entries()) batch.score(prompt.length - 1 + i, token);
  const expected = (await theirs.decode(batch)).samples.map(({ logProbability }) => logProbability);
  const score = (phases: SteeredPhase[]): Promise<number[]> => model.score(
    prompt, text, { steer: { vector: one, schedule: fixed, phases } },
  );
  (await score(["prompt", "answer"])).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, digits(4)));
  const [answer, onPrompt] = [await score(["answer"]), await score(["prompt"])];
  expect(answer[0]).not.toBeCloseTo(expected[0]!, 3);
  expect(onPrompt[0]).toBeCloseTo(expected[0]!, digits(4)); // the first token follows the prompt's last row
  expect(onPrompt[1]).not.toBeCloseTo(expected[1]!, 3);
  const result = await model.generate(prompt, { ...letters(model), steer: { vector: one, schedule: fixed, phases: ["prompt"] } }).result();
  expect(alphas(result)).toEqual([2, 0, 0, 0, 0]);
});

test("prompts that are steered differently share no cells, in generations and in chats", async () => {
  const prompt = "Hello, my friend?";
  const kinds: Steering[][] = [
    [], [steering(fixed, "prompt")], [steering({ kind: "fixed", alpha: 1 }, "prompt", "answer")], [steering(fixed, "prompt")], [],
  ];
  const run = async (steer: Steering[]): Promise<number[]> =>
    (await model.generate(prompt, { ...letters(model), steer }).result()).tokens.map(({ logProbability }) => logProbability!);
  const alone: number[][] = [];
  for (const steer of kinds) alone.push(await run(steer));
  expect(alone[1]![0]).not.toBeCloseTo(alone[0]![0]!, 3);
  (await Promise.all(kinds.map(run))).forEach(
    (values, i) => values.forEach((value, step) => expect(value).toBeCloseTo(alone[i]![step]!, digits(4))),
  );
  const turn = async (before: () => void): Promise<number[][]> => {
    const chat = model.chat(letters(model));
    const answers = [];
    for (const steer of kinds) {
      before();
      answers.push(ids(await chat.say(prompt, { steer }).result()));
    }
    return answers;
  };
  expect(await turn(() => undefined)).toEqual(await turn(() => model.scheduler.forget()));
});

test("Dyn cannot steer the prompt, and unknown phases are refused", async () => {
  const refused = expect.objectContaining({ code: "E_BAD_SPEC" });
  expect(() => model.generate("a", { steer: steering({ kind: "dynamic" }, "prompt", "answer") })).toThrow(refused);
  for (const phases of [[], ["thoughts"], "answer"]) expect(
    () => model.generate("a", { steer: { vector, schedule: fixed, phases: phases as SteeredPhase[] } }),
  ).toThrow(refused);
  const stream = model.generate("a", { maxNewTokens: 2, steer: steering(fixed, "prompt") });
  expect(() => { stream.steering[0]!.schedule = { kind: "dynamic" }; }).toThrow(refused);
  expect((await stream.result()).steering).toMatchObject([{ phases: ["prompt"] }]);
});
