import { describe, expect, jest, test } from "@jest/globals";
import type { GenerateOptions, ScheduleInput } from "../../lib/index.js";
import { generate, generateText } from "../../lib/generate/index.js";
import { seededRandom } from "../../lib/maths/random.js";
import { Context } from "../../lib/engine/index.js";
import { tinyForFile } from "../support/file-model.js";
import { digits, loadTiny, ON_DEVICE, randomVector } from "../support/tiny-files.js";
import { workOf } from "../support/work.js";

const { space, model } = await tinyForFile();

const vectors = await Promise.all((["head_out", "head_out", "resid_post", "attn_out", "mlp_out"] as const).map(
  (site, seed) => randomVector(model, seed + 1, { site, scale: 1 }),
));

const SCHEDULES: ScheduleInput[] = [
  { kind: "fixed", alpha: 1.2 }, { kind: "start", alpha: 2 }, { kind: "diminishing", alpha: 2 },
  { kind: "window", alpha: 1.5, from: 1, to: 3 },
  { kind: "dynamic", topP: 0.6, klReduction: "sum" }, { kind: "dynamic", topP: 0.4 }, (step) => Math.sin(step),
];

interface Request {
  prompt: string;
  options: GenerateOptions;
}

/** The i-th of a fixed list of requests of every kind. */
function request(i: number): Request {
  const random = seededRandom(1000 + i);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const steer = Array.from({ length: Math.floor(random() * 3) }, () => ({ vector: pick(vectors), schedule: pick(SCHEDULES) }));
  const sampling = pick([
    {}, {}, { temperature: 0.9, seed: i }, { temperature: 1.2, topK: 20, topP: 0.9, seed: i }, { repeatPenalty: 1.3 },
  ]);
  const length = pick([1, 5, 12, 30, 90]); // the longest are fed in pieces beside the others
  return {
    prompt: Array.from({ length }, () => pick([..."abcdefghij klmnop"])).join(""),
    options: { steer, sampling, maxNewTokens: 1 + Math.floor(random() * 8) },
  };
}

const run = async ({ prompt, options }: Request): Promise<number[]> => (await generateText(model, prompt, options)).tokens.map(
  ({ token }) => token,
);

describe("continuous batching", () => {
  const ROUNDS = ON_DEVICE ? 10 : 1000;

  test(`steering one sequence never changes another's tokens, over ${ROUNDS} random interleavings`, async () => {
    const requests = Array.from({ length: 40 }, (_, i) => request(i));
    const alone: number[][] = [];
    for (const each of requests) alone.push(await run(each));
    expect(new Set(alone.map(String)).size).toBeGreaterThan(30);
    const random = seededRandom(7);
    let [others, all] = [0, 0];
    for (let round = 0; round < ROUNDS; round++) {
      const chosen = Array.from({ length: 2 + Math.floor(random() * 5) }, () => Math.floor(random() * requests.length));
      const tokens = await Promise.all(chosen.map(async (index) => {
        for (let ticks = Math.floor(random() * 4); ticks > 0; ticks--) await new Promise(setImmediate); // joins while others run
        return run(requests[index]!);
      }));
      all += chosen.length;
      others += chosen.filter((index, i) => String(tokens[i]) !== String(alone[index])).length;
      if (!ON_DEVICE) chosen.forEach(
        (index, i) => expect({ round, index, tokens: tokens[i] }).toEqual({ round, index, tokens: alone[index] }),
      );
    }
    // A device computes one row by another kernel than several: a close choice falls otherwise now and then.
    expect(others / all).toBeLessThan(0.25);
  }, 300_000);

  test("each generation's alphas and KLs are those that it has alone", async () => {
    const dynamic = (i: number): Request => ({ prompt: `prompt ${i}`, options: { maxNewTokens: 6, steer: [
      { vector: vectors[0]!, schedule: { kind: "dynamic", topP: 0.5 } },
      { vector: vectors[i % 2 === 0 ? 1 : 2]!, schedule: { kind: "dynamic", topP: 0.9, klReduction: "sum" } }] } });
    const together = await Promise.all([0, 1, 2].map((i) => generateText(model, dynamic(i).prompt, dynamic(i).options)));
    for (const [i, result] of together.entries()) {
      const { tokens } = await generateText(model, dynamic(i).prompt, dynamic(i).options);
      result.tokens.forEach(({ readings }, step) => readings.forEach(({ kl, alpha }, property) => {
        expect(kl).toBeCloseTo(tokens[step]!.readings[property]!.kl!, digits(4));
        expect(alpha).toBeCloseTo(tokens[step]!.readings[property]!.alpha, digits(4));
      }));
    }
    expect(Math.max(...together.flatMap(({ tokens }) => tokens.flatMap(({ readings }) => readings.map(({ kl }) => kl!)))))
      .toBeGreaterThan(0.05);
  });

  test("generations share their steps", async () => {
    const decodesOf = async (n: number): Promise<number> => (await workOf(() => Promise.all(Array.from(
      { length: n }, (_, i) => generateText(model, `p${i}`, { maxNewTokens: 60, sampling: { logitBias: { 2: -Infinity } } }),
    )))).decodes;
    expect(await decodesOf(12)).toBeLessThanOrEqual(await decodesOf(1) + 2); // the last of them may begin a decode or two later
  });

  test("with room for two sequences, twelve generations finish, in the order in which they came", async () => {
    const { model: narrow } = await loadTiny(space, { maxSequences: 2 }, 3);
    const ended: number[] = [];
    await Promise.all(Array.from({ length: 12 }, async (_, i) => {
      const { tokens } = await generateText(narrow, "abc", { maxNewTokens: 4, sampling: { logitBias: { 2: -Infinity } } });
      expect(tokens).toHaveLength(4);
      ended.push(i);
    }));
    expect(ended).toEqual(Array.from({ length: 12 }, (_, i) => i));
    narrow.dispose();
  });

  test("a generation that needs more sequences or cells than the limits runs by itself", async () => {
    const { model: narrow } = await loadTiny(space, { maxSequences: 2, contextSize: 64 }, 3);
    const steer = (await Promise.all([1, 2, 3].map((seed) => randomVector(narrow, seed)))).map(
      (vector) => ({ vector, schedule: { kind: "dynamic" as const } }),
    );
    const results = await Promise.all([1, 2, 3].map(() => generateText(narrow, "x".repeat(100), { maxNewTokens: 5, steer })));
    for (const { tokens } of results) expect(tokens).toEqual(results[0]!.tokens);
    narrow.dispose();
  });

  test("a consumer that does not read keeps its place and holds up nobody", async () => {
    const slow = generate(model, "abc", { maxNewTokens: 8 });
    const first = await slow.next();
    const others = await Promise.all([1, 2, 3].map((i) => run({ prompt: `other ${i}`, options: { maxNewTokens: 8 } })));
    expect(others.every((tokens) => tokens.length > 0)).toBe(true);
    const rest: number[] = [];
    for await (const { token } of slow) rest.push(token);
    expect([(first.value as { token: number }).token, ...rest]).toEqual(await run({ prompt: "abc", options: { maxNewTokens: 8 } }));
  });

  describe("a prompt that several begin with", () => {
    const LONG = "x".repeat(150);
    const prompts = [`${LONG}a`, `${LONG}a`, `${LONG}bc`, "y".repeat(20), LONG.slice(0, 90)];

    /** Rows decoded while `work` runs. */
    async function rowsOf(work: () => Promise<unknown>): Promise<number> {
      const decode = jest.spyOn(Context.prototype, "decode");
      await work();
      const rows = decode.mock.calls.reduce((sum, [batch]) => sum + batch.size, 0);
      decode.mockRestore();
      return rows;
    }

    test("is computed once, and gives what it gives alone", async () => {
      const alone: number[][] = [];
      let rowsAlone = 0;
      for (const prompt of prompts) rowsAlone += await rowsOf(async () => alone.push(await run({ prompt, options: { maxNewTokens: 4 } })));
      const rows = await rowsOf(
        async () => expect(await Promise.all(prompts.map((prompt) => run({ prompt, options: { maxNewTokens: 4 } })))).toEqual(alone),
      );
      const shared = model.tokenise(LONG).length - 1;
      expect(rowsAlone - rows).toBeGreaterThanOrEqual(2 * shared + 60);
    });

    test("is taken over from a generation that is under way, its own steering left out", async () => {
      const steer = [{ vector: vectors[0]!, schedule: { kind: "fixed" as const, alpha: 3 } }];
      const first = generate(model, prompts[0]!, { maxNewTokens: 8, steer });
      await first.next();
      const rows = await rowsOf(
        async () => expect(await run({ prompt: prompts[2]!, options: { maxNewTokens: 4 } })).toEqual(
          await run({ prompt: prompts[2]!, options: { maxNewTokens: 4 } }),
        ),
      );
      expect(rows).toBeLessThan(40);
      await first.return(undefined as never);
      expect(await run({ prompt: prompts[2]!, options: { maxNewTokens: 4 } })).toEqual(
        await run({ prompt: prompts[2]!, options: { maxNewTokens: 4 } }),
      );
    });

    test("is computed by the next one when the first is aborted before its end", async () => {
      const expected = await run({ prompt: LONG, options: { maxNewTokens: 3 } });
      for (let ticks = 0; ticks < 6; ticks++) {
        const abort = new AbortController();
        const beside = run({ prompt: "beside", options: { maxNewTokens: 30 } }); // so that prompts are fed in pieces
        const first = generateText(model, `${LONG}!`, { maxNewTokens: 3, signal: abort.signal });
        const others = [1, 2].map(() => run({ prompt: LONG, options: { maxNewTokens: 3 } }));
        void (async () => {
          for (let tick = 0; tick < ticks; tick++) await new Promise(setImmediate);
          abort.abort();
        })();
        await expect(first).rejects.toMatchObject({ code: "E_ABORTED" });
        expect(await Promise.all(others)).toEqual([expected, expected]);
        await beside;
      }
    });
  });

  test("what fails, fails alone", async () => {
    const forbidden = Object.fromEntries(Array.from({ length: model.info.nVocab }, (_, token) => [token, -Infinity]));
    const thrower: ScheduleInput = (step) => { if (step === 2) throw new Error("mine"); return 1; };
    const [fine, none, thrown, notFinite, alsoFine] = await Promise.allSettled([
      run(request(3)),
      generateText(model, "abc", { sampling: { logitBias: forbidden } }),
      generateText(model, "abc", { steer: [{ vector: vectors[0]!, schedule: thrower }] }),
      generateText(model, "abc", { steer: [{ vector: vectors[0]!, schedule: () => NaN }] }),
      run(request(5)),
    ]);
    expect(none).toMatchObject({ status: "rejected", reason: { code: "E_NOT_FINITE" } });
    expect(thrown).toMatchObject({ status: "rejected", reason: { message: "mine" } });
    expect(notFinite).toMatchObject({ status: "rejected", reason: { code: "E_BAD_SPEC" } });
    expect([fine, alsoFine]).toEqual([
      { status: "fulfilled", value: await run(request(3)) }, { status: "fulfilled", value: await run(request(5)) },
    ]);
  });

  test("aborts at every moment leave the others as they are", async () => {
    const expected = await run(request(7));
    for (let delay = 0; delay < 12; delay++) {
      const abort = new AbortController();
      const aborted = generateText(
        model, "x".repeat(90), { maxNewTokens: 60, signal: abort.signal, steer: [{ vector: vectors[0]!, schedule: { kind: "dynamic" } }] },
      );
      const other = run(request(7));
      setTimeout(() => abort.abort(), delay);
      await expect(aborted).rejects.toMatchObject({ code: "E_ABORTED" });
      expect(await other).toEqual(expected);
    }
  });
});
