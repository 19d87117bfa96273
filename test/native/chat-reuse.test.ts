import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { ChatOptions, GenerationResult, Model, Steering, VectorData } from "../../lib/index.js";
import { prompts } from "../../lib/index.js";
import { ids, letters, loadChatting, rowsOf } from "../support/chats.js";
import { digits, randomVector, scratch } from "../support/tiny-files.js";

const space = scratch();
afterAll(() => space[Symbol.dispose]());

const QUESTIONS = ["Hello there, my old friend.", "And now?", "Is that all that you have to say to me today?", "So", "Why not?"];

/** What steers the turns: nothing, one alpha, or alphas that are measured. */
function steersOf(vector: VectorData): Array<Steering[]> {
  const fixed = { vector, schedule: { kind: "fixed" as const, alpha: 2 } };
  const dynamic = { vector, schedule: { kind: "dynamic" as const, topP: 0.9, klReduction: "sum" as const } };
  return [[], [fixed], [], [dynamic], [fixed]];
}

describe.each(
  [["llama", undefined], ["llama", 1], ["gemma3", 1], ["lfm2", undefined], ["mamba", undefined], ["lfm2", 1]] as const,
)("%s, with at most %s at once", (name, maxGenerations) => {
  let model: Model;
  let steers: Steering[][];

  beforeAll(async () => {
    model = await loadChatting(space, name, { flashAttention: maxGenerations === 1, ...(maxGenerations && { maxGenerations }) });
    steers = steersOf(await randomVector(model, 1, { site: "resid_post", nSteps: 3, scale: 1 }));
  });
  afterAll(() => model.dispose());

  /** A chat of several turns; `before` is called before each. */
  async function talk(options: ChatOptions, before: () => void): Promise<GenerationResult[]> {
    const chat = model.chat({ ...letters(model), ...options });
    const results = [];
    for (const [turn, question] of QUESTIONS.entries()) {
      before();
      results.push(await chat.say(question, { steer: steers[turn]! }).result());
    }
    for (let n = 0; n < 3; n++) chat.undo(); // so that the prompt ends in the middle of what is kept
    before();
    results.push(await chat.say("Something else, then.").result());
    return results;
  }

  const kept: ChatOptions[] = [{ history: "clean" }, { history: "as-generated" }];
  if (name === "llama" || name === "lfm2") kept.push({ history: "as-generated", ownHistory: "clean" });
  test.each(kept)("%p: a chat with reuse is the chat without, token for token", async (options) => {
    const reused = await rowsOf(() => talk(options, () => undefined));
    const without = await rowsOf(() => talk(options, () => model.scheduler.forget()));
    expect(reused.result.map(ids)).toEqual(without.result.map(ids));
    expect(new Set(reused.result.flatMap(ids)).size).toBeGreaterThan(3);
    const probabilities = (results: GenerationResult[]): number[] => results.flatMap(
      ({ tokens }) => tokens.map(({ logProbability }) => logProbability!),
    );
    const [a, b] = [probabilities(reused.result), probabilities(without.result)];
    if (maxGenerations === 1) expect(a).toEqual(b); // to the last bit
    a.forEach((value, i) => expect(value).toBeCloseTo(b[i]!, digits(4)));
    // A state that cannot be cut is never that of another batch.
    if (name === "lfm2" && maxGenerations === 1) expect(reused.rows).toBe(without.rows);
    else expect(reused.rows).toBeLessThan(without.rows);
  });

  test("the history as it was generated is not what is read without steering", async () => {
    const [clean, steered] = [await talk({}, () => undefined), await talk({ history: "as-generated" }, () => undefined)];
    const last = ({ tokens }: GenerationResult): number => tokens[0]!.logProbability!;
    expect(ids(clean[1]!)).toEqual(ids(steered[1]!)); // nothing has been steered before
    expect(last(clean[2]!)).not.toBe(last(steered[2]!));
  });
});

describe("rows that a turn computes", () => {
  let model: Model;
  let steers: Steering[][];

  beforeAll(async () => {
    model = await loadChatting(space, "llama");
    steers = steersOf(await randomVector(model, 1, { site: "resid_post", nSteps: 3, scale: 1 }));
  });
  afterAll(() => model.dispose());

  const N = 5;
  /** Rows of a second turn beyond those of its steps, after a first turn that is steered; and how many of its tokens are new. */
  async function second(steer: Steering[], options: ChatOptions = {}, on = model): Promise<{
    rows: number; ofPrompt: number; nFirst: number
  }> {
    on.scheduler.forget(); // what other chats have left
    const chat = on.chat({ ...letters(on, N), ...options });
    const first = await chat.say(QUESTIONS[0]!, { steer }).result();
    const { rows, result } = await rowsOf(() => chat.say(QUESTIONS[1]!).result());
    return { rows: rows - N, ofPrompt: result.promptTokens - 1, nFirst: first.promptTokens };
  }

  test("are those of its new tokens; a steered answer is read again, or kept as it was generated", async () => {
    for (const [steer, options, answer] of [
      [[], {}, N], [steers[1]!, {}, 0], [steers[1]!, { history: "as-generated" }, N], [steers[3]!, {}, N],
      [steers[3]!, { history: "as-generated" }, N],
    ] as const) {
      const { rows, ofPrompt, nFirst } = await second([...steer], options);
      expect({ steer: steer[0]?.schedule, options, rows }).toEqual({
        steer: steer[0]?.schedule, options, rows: ofPrompt - (nFirst - 1 + answer),
      });
    }
  });

  test("with a state that cannot be cut, are those of its new tokens after an unsteered answer, and all after a steered one", async () => {
    const recurrent = await loadChatting(space, "mamba");
    const vector = await randomVector(recurrent, 1, { site: "resid_post", nSteps: 1, scale: 1 });
    const steer = [{ vector, schedule: { kind: "fixed" as const, alpha: 2 } }];
    const plain = await second([], {}, recurrent);
    expect(plain.rows).toBe(plain.ofPrompt - (plain.nFirst - 1 + N));
    const clean = await second(steer, {}, recurrent);
    expect(clean.rows).toBe(clean.ofPrompt);
    const kept = await second(steer, { history: "as-generated" }, recurrent);
    expect(kept.rows).toBe(kept.ofPrompt - (kept.nFirst - 1 + N));
    recurrent.dispose();
  });

  test("of an answer that is tried again are its last prompt token's and its steps', and undo goes back as far", async () => {
    const chat = model.chat(letters(model, N));
    const first = await chat.say(QUESTIONS[0]!).result();
    const again = await rowsOf(() => chat.retry().result());
    expect([again.rows, ids(again.result)]).toEqual([N, ids(first)]);
    await chat.say(QUESTIONS[1]!).result();
    expect(chat.undo()).toEqual({ role: "user", content: QUESTIONS[1] });
    expect((await rowsOf(() => chat.retry({ steer: steers[1]! }).result())).rows).toBe(N);
  });

  test("of a history as it was generated: what was undone, or failed, leaves no trace in the next turn", async () => {
    const broken = [
      {
        vector: await randomVector(model, 4, { site: "resid_post", nSteps: 4, scale: 3e38 }),
        schedule: { kind: "fixed" as const, alpha: 1 },
      },
    ];
    const options = { ...letters(model, N), history: "as-generated" as const };
    const chat = model.chat(options);
    await expect(chat.say("So").result().then(() => chat.say("Why", { steer: broken }).text())).rejects.toMatchObject({
      code: "E_NOT_FINITE",
    });
    const { answer } = await chat.say("Why", { steer: steers[1]! }).result();
    chat.undo();
    const same = `Why[assistant]${answer}`; // the same tokens, as a question
    const own = await chat.say(same).result();
    model.scheduler.forget();
    const other = await model.chat({ ...options, messages: chat.messages.slice(0, 2) }).say(same).result();
    expect(ids(own)).toEqual(ids(other));
    own.tokens.forEach(({ logProbability }, i) => expect(logProbability).toBeCloseTo(other.tokens[i]!.logProbability!, digits(4)));
  });

  test("are few after an answer that was left in the middle, and its tokens those of a new chat", async () => {
    const chat = model.chat(letters(model, N));
    await chat.say(QUESTIONS[0]!).result();
    const leave = async (): Promise<void> => { for await (const { step } of chat.say(
      QUESTIONS[2]!, { steer: steers[1]! },
    )) if (step === 2) break; };
    await leave();
    const { rows, result } = await rowsOf(() => chat.say(QUESTIONS[2]!).result());
    expect(rows).toBe(N);
    model.scheduler.forget();
    expect(ids(await model.chat({ ...letters(model, N), messages: chat.messages.slice(0, -1) }).reply().result())).toEqual(ids(result));
  });

  test("another chat shares what both begin with; what is steered in one history reaches no other", async () => {
    const system = { role: "system" as const, content: "Be brief, and write no more than two sentences." };
    const steered = model.chat({ ...letters(model, N), messages: [system], history: "as-generated", steer: steers[1]! });
    await steered.say(QUESTIONS[0]!).result();
    const other = model.chat({ ...letters(model, N), messages: [...steered.messages] });
    const { rows, result } = await rowsOf(() => other.say(QUESTIONS[1]!).result());
    const tokens = await prompts.chatTokens(model, other.messages.slice(0, -1));
    expect(ids(result)).toEqual(ids(await model.generate(tokens, letters(model, N)).result()));
    const common = (await prompts.chatTokens(model, steered.messages.slice(0, 2))).length;
    expect(rows - N).toBe(tokens.length - 1 - (common - 1)); // to where the steered answer begins
    // Beside the steered chat, whose prompt has its steered cells: nobody else shares those.
    const stream = steered.say(QUESTIONS[1]!);
    await stream.next();
    expect(ids(await model.generate(tokens, letters(model, N)).result())).toEqual(ids(result));
    await stream.return();
  });
});
