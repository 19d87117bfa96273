import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { replay, type GenerateOptions, type GenerationResult, type Steering } from "../../lib/index.js";
import { Budgets } from "../../lib/generate/budgets.js";
import { generate, generateText } from "../../lib/generate/index.js";
import { quantile } from "../../lib/maths/statistics.js";
import { budget, readingsOf } from "../support/budgets.js";
import { ids, letters, loadChatting, rowsOf } from "../support/chats.js";
import { dynamic } from "../support/dyn-requests.js";
import { untilLastTest } from "../support/file-model.js";
import { expectSameTokens } from "../support/gates.js";
import { randomProbe } from "../support/probes.js";
import { digits, randomVector, scratch } from "../support/tiny-files.js";

// Tokens that a budget computes again, with smaller alphas: what was computed first leaves nothing behind.

const space = scratch();
const CELLS = 512;
const { model } = untilLastTest({
  space, model: await loadChatting(space, "llama", { contextSize: CELLS, ropeScaling: { kind: "linear", factor: 4 } }),
});
const N = 16;
/** So steep that the first alphas are often too large. */
const steep = await randomVector(model, 4, { nSteps: N, scale: 10 });
const mild = await randomVector(model, 2, { nSteps: N, scale: 1 });
const spending: Steering = { vector: steep, schedule: budget(0.5) };
const NO_END = { logitBias: { 2: -Infinity } };
const LETTERS = letters(model).sampling!;

afterEach(async () => {
  jest.restoreAllMocks();
  // Takes all cells of the context, so it would be without room if one had been lost.
  const prompt = Array.from({ length: 400 }, (_, i) => 3 + i % 200);
  expect((await generateText(model, prompt, { maxNewTokens: CELLS - 400, sampling: NO_END })).tokens).toHaveLength(CELLS - 400);
});

function expectAgain({ work, tokens }: GenerationResult): void {
  expect(work.decodes).toBeGreaterThan(tokens.length);
}

/** Calls this each time that a token is about to be computed again. */
function whenAgain(act: (nTimes: number) => void): void {
  jest.restoreAllMocks();
  const original = Budgets.prototype.tryAgain;
  let nTimes = 0;
  jest.spyOn(Budgets.prototype, "tryAgain").mockImplementation(function (this: Budgets, ...given) {
    original.apply(this, given);
    act(++nTimes);
  });
}

test("a token is computed again twice at most, and is then unsteered", async () => {
  const hopeless: Steering = { vector: await randomVector(model, 4, { nSteps: N, scale: 1e6 }), schedule: budget(1e-5) };
  let nTimes = 0;
  whenAgain((n) => { nTimes = n; });
  const options = { maxNewTokens: N, sampling: NO_END };
  const result = await generateText(model, "spend", { steer: hopeless, ...options });
  expect({ nTimes, decodes: result.work.decodes }).toEqual({ nTimes: 2 * N, decodes: 3 * N });
  expect(readingsOf(result)).toEqual(Array(N).fill({ alpha: 0, kl: 0 }));
  expect(ids(result)).toEqual(ids(await generateText(model, "spend", options)));
});

describe.each(["as-generated", "clean"] as const)("a history %s", (ownHistory) => {
  const options = (more: GenerateOptions = {}): GenerateOptions =>
    ({ maxNewTokens: N, sampling: NO_END, logProbabilities: true, ownHistory, ...more });
  const run = (steer: Steering[], more: GenerateOptions = {}): Promise<GenerationResult> =>
    generateText(model, "spend", { steer, ...options(more) });

  /** The answer, some of whose tokens were computed again; its replay, in which none is, must be the same. */
  async function again(steer: Steering[], more: GenerateOptions = {}): Promise<GenerationResult> {
    const result = await run(steer, more);
    expectAgain(result);
    const recorded = await run(replay(steer, result), more);
    expect(recorded.work.decodes).toBe(recorded.tokens.length);
    expectSameTokens(recorded, result);
    expect([recorded.text, recorded.finishReason]).toEqual([result.text, result.finishReason]);
    return result;
  }

  test("beside other generations, all are what they are alone", async () => {
    const all: Steering[][] = [
      [spending], [], [{ vector: mild, schedule: dynamic({ topP: 0.8 }) }], [{ vector: steep, schedule: budget(0.2) }],
    ];
    const alone: GenerationResult[] = [];
    for (const steer of all) alone.push(await run(steer));
    const together = await Promise.all(all.map((steer) => run(steer)));
    together.forEach((each, index) => {
      expectSameTokens(each, alone[index]!);
      if (index !== 1) readingsOf(each).forEach(({ alpha }, step) =>
        expect(alpha).toBeCloseTo(readingsOf(alone[index]!)[step]!.alpha, digits(3)));
    });
    for (const index of [0, 3]) expectAgain(together[index]!);
  });

  test("with a gate that opens and shuts", async () => {
    const probe = await randomProbe(model, 14, { site: "resid_post", layer: 0, scale: 2 });
    const gated = (gate: object): Steering => ({ ...spending, layers: [1, 2], gate: { probe, ...gate } });
    const read = (result: GenerationResult): number[] => result.tokens.flatMap(({ readings: [one] }) => one!.gate?.probability ?? []);
    const middle = quantile(read(await run([gated({ above: 0 })])).sort((a, b) => a - b), 0.5);
    for (const gate of [{ above: middle }, { shape: "smooth" }, { above: 0, per: "prompt" }]) {
      const result = await again([gated(gate)]);
      const values = result.tokens.map(({ readings: [one] }) => one!.gate?.value);
      if (gate.above === middle) expect([values.includes(0), values.includes(1)]).toEqual([true, true]);
    }
  });

  test("with a grammar, whose state moves on once per token", async () => {
    for (const grammar of ['root ::= ("ab" | "xyz" | "q")+', "root ::= [a-z]{3} [A-Z]{3} [a-z ]*"]) {
      const { text } = await again([spending], { sampling: { ...NO_END, grammar } });
      if (grammar.includes("A-Z")) expect(text).toMatch(/^[a-z]{3}[A-Z]{3}[a-z ]*$/);
      else expect(text).toMatch(/^(ab|xyz|q)+(a|x|xy)?$/);
    }
  });

  test("with strings that end the text", async () => {
    const whole = await again([spending], { sampling: LETTERS });
    for (const at of [3, 7, 11]) {
      const stop = whole.text.slice(at, at + 3);
      const ended = await again([spending], { sampling: LETTERS, stop: [stop] });
      expect([ended.text, ended.finishReason]).toEqual([whole.text.slice(0, whole.text.indexOf(stop)), "stop"]);
    }
  });

  test("changed while one is computed again: that acts from the next token on", async () => {
    const fixed = { kind: "fixed", alpha: 0.02 } as const;
    for (const to of [undefined, fixed, budget(0.05), dynamic({ topP: 0.8, alphaMax: 0.1 })]) {
      const live = async (when: number | "again"): Promise<{ result: GenerationResult; at: number }> => {
        const stream = generate(model, "spend", { steer: spending, ...options() });
        let [n, at] = [0, -1];
        const change = (): void => {
          at = n;
          if (to) stream.steering[0]!.schedule = to;
          else stream.steering[0]!.drop();
        };
        if (when === "again") whenAgain(() => { if (n > 0 && at < 0) change(); });
        for (; n < 12; n++) {
          if (n === when) change();
          await stream.next();
        }
        await stream.add({ vector: mild, schedule: budget(0.1) });
        return { result: await stream.result(), at };
      };
      const { result, at } = await live("again");
      expectAgain(result);
      expect(at).toBeGreaterThan(0);
      expect(result.tokens).toHaveLength(N);
      const { result: before } = await live(at + 1);
      expect(ids(before)).toEqual(ids(result));
      before.tokens.forEach(({ readings }, step) => readings.forEach(({ alpha, kl }, index) => {
        expect(alpha).toBeCloseTo(result.tokens[step]!.readings[index]!.alpha, digits(3));
        if (kl !== null) expect(kl).toBeCloseTo(result.tokens[step]!.readings[index]!.kl!, digits(3));
      }));
      expectSameTokens(await run(replay([spending, { vector: mild, schedule: fixed }], result)), result);
    }
  });

  test("aborted while one is computed again: the next generation is what it was, beside one that goes on", async () => {
    const [before, beside] = [await run([spending]), await run([])];
    for (const n of [1, 2]) {
      const abort = new AbortController();
      whenAgain((nTimes) => { if (nTimes === n) abort.abort(); });
      const [aborted, plain] = await Promise.allSettled([run([spending], { signal: abort.signal }), run([])]);
      expect(aborted).toMatchObject({ status: "rejected", reason: { code: "E_ABORTED" } });
      expect(plain).toMatchObject({ status: "fulfilled" });
      if (plain.status === "fulfilled") expectSameTokens(plain.value, beside);
      jest.restoreAllMocks();
      const after = await run([spending]);
      expectSameTokens(after, before);
      expect(after.work).toEqual(before.work);
    }
  });
});

describe.each([
  { history: "clean" }, { history: "as-generated" }, { history: "as-generated", ownHistory: "clean" },
] as const)("a chat %j", (how) => {
  const ask = ["Hello there, my old friend.", "And now?", "Again, please.", "Who?"];
  const chat = (): ReturnType<typeof model.chat> => model.chat({ ...letters(model, N), ...how });

  test("that keeps cells is the one that reads all of them again", async () => {
    const talk = async (before: () => void): Promise<GenerationResult[]> => {
      const [own, results] = [chat(), [] as GenerationResult[]];
      for (const [turn, question] of ask.entries()) {
        before();
        results.push(await own.say(question, { steer: turn % 2 === 0 ? [spending] : [] }).result());
      }
      return results;
    };
    const [kept, read] = [await talk(() => undefined), await talk(() => model.scheduler.forget())];
    for (const turn of [0, 2]) [kept, read].forEach((results) => expectAgain(results[turn]!));
    kept.forEach((each, turn) => expectSameTokens(each, read[turn]!));
  });

  test("keeps the cells of its tokens, as if each had been computed once", async () => {
    const first = chat();
    const found = await first.say(ask[0]!, { steer: [spending] }).result();
    expectAgain(found);
    const after = await rowsOf(() => first.say(ask[1]!, { steer: [] }).result());
    model.scheduler.forget();
    const second = chat();
    const recorded = await second.say(ask[0]!, { steer: replay([spending], found) }).result();
    expect(ids(recorded)).toEqual(ids(found));
    const once = await rowsOf(() => second.say(ask[1]!, { steer: [] }).result());
    expectSameTokens(after.result, once.result);
    expect(after.rows).toBe(once.rows);
    expect(after.rows).toBeLessThan(after.result.promptTokens); // something was kept
  });

  test("goes on as before after a turn that is left while a token is computed again", async () => {
    const expected = chat();
    await expected.say(ask[0]!, { steer: [spending] }).result();
    const next = await expected.say(ask[1]!, { steer: [spending] }).result();
    expectAgain(next);
    const own = chat();
    await own.say(ask[0]!, { steer: [spending] }).result();
    const abort = new AbortController();
    whenAgain(() => abort.abort());
    await expect(own.say(ask[2]!, { steer: [spending], signal: abort.signal }).result()).rejects.toMatchObject({ code: "E_ABORTED" });
    jest.restoreAllMocks();
    const found = await own.say(ask[1]!, { steer: [spending] }).result();
    expectSameTokens(found, next);
    expect(found.work).toEqual(next.work);
  });
});
