import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { Batch, Context, PrefillTask, RowCapture } from "../../lib/engine/index.js";
import { RowTimes } from "../../lib/engine/row-times.js";
import { Scheduler } from "../../lib/engine/scheduler/scheduler.js";

/** A context that computes nothing, with one sequence. */
const createContext = async ({ nCtx }: { nCtx: number }): Promise<Context> => ({
  options: { nCtx, nSeqMax: 1, nBatch: 8 },
  decode: async (_batch: Batch) => ({ alphas: [], samples: [], guesses: [] }),
  kvCopy: () => undefined, kvRemove: () => undefined, abort: () => undefined, dispose: () => undefined,
}) as unknown as Context;

const text = (done: () => void): PrefillTask =>
  ({ kind: "prefill", prompt: [1, 2, 3], mixedRows: 8, from: 0, capture: () => undefined as unknown as RowCapture, done });

const rowTimes = { isReady: true, ready: async () => undefined, now: () => new RowTimes([1, 1, 1, 1, 1, 1]) };

const scheduler = (): Scheduler => new Scheduler(createContext, { maxCells: 16, maxSequences: 1, maxTasks: Infinity, rowTimes });

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ["setImmediate", "queueMicrotask", "nextTick", "performance"] }); // nobody's patience ends
});

afterEach(() => {
  jest.useRealTimers();
});

test("the room of a text that fails is free at once", async () => {
  const own = scheduler();
  const failed = own.run(text(() => { throw new Error("not finite"); }));
  const next = own.run(text(() => undefined)).then(() => "ended");
  await expect(failed).rejects.toThrow("not finite");
  const turns = async (): Promise<string> => {
    for (let i = 0; i < 50; i++) await new Promise(setImmediate);
    return "waits";
  };
  expect(await Promise.race([next, turns()])).toBe("ended");
});

test("a task whose signal fires is dropped with E_ABORTED, and one that has ended cannot start again", async () => {
  const own = scheduler();
  let ended = 0;
  const task = text(() => { ended++; });
  const abort = new AbortController();
  const [first, second] = [own.run(task), own.run(text(() => { ended++; }), undefined, abort.signal)];
  abort.abort();
  await expect(second).rejects.toMatchObject({ code: "E_ABORTED" });
  await first;
  own.restart(task);
  await own.ended();
  expect(ended).toBe(1);
  own.dispose();
  await expect(own.run(task)).rejects.toMatchObject({ code: "E_DISPOSED" });
  await expect(own.run(task, abort.signal)).rejects.toMatchObject({ code: "E_ABORTED" });
});
