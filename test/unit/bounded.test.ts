import { expect, test } from "@jest/globals";
import { SteeringError } from "../../lib/errors.js";
import { runBounded, type Bounds } from "../../lib/formats/bounded.js";

const MIB = 2 ** 20;
const refuse = (reason: string): SteeringError => new SteeringError("E_BAD_DATASET", `file: ${reason}`);
const call = (name: string, input?: unknown, bounds: Partial<Bounds> = {}): Promise<unknown> =>
  runBounded(
    new URL(`../support/bounded-functions.js${name}`, import.meta.url), input,
    { milliseconds: 20_000, bytes: 200 * MIB, refuse, ...bounds },
  );

test("what a function takes and gives is copied", async () => {
  const input = { text: "好", list: [1, Infinity, undefined], bytes: new Uint8Array([1, 2]) };
  expect(await call("", input)).toEqual(input);
});

test.each([
  ["#forever", { milliseconds: 1500 }, /^file: reading it takes more than 2 s$/],
  ["#map", {}, /^file: reading it takes more than 200 MiB of memory/],
  ["#buffers", {}, /^file: reading it takes more than 200 MiB of memory/],
  ["#unhandled", {}, /^file: nobody waits for this$/],
  ["#uncaught", {}, /^file: thrown where nobody catches$/],
  ["#exits", {}, /exit code 7/],
  ["#typeError", {}, /^file: Cannot read properties of undefined/],
  ["#nothing", {}, /^file: .*not a function/],
])("%s is refused, and this process lives", async (name, bounds, message) => {
  await expect(call(name, undefined, bounds)).rejects.toMatchObject({
    name: "SteeringError", code: "E_BAD_DATASET", message: expect.stringMatching(message),
  });
});

test("its time begins once the module is loaded, which has a limit of its own", async () => {
  const start = (bounds: Partial<Bounds>): Promise<unknown> =>
    runBounded(new URL("../support/slow-module.js", import.meta.url), "given", { milliseconds: 1500, bytes: 200 * MIB, refuse, ...bounds });
  expect(await start({})).toBe("given");
  await expect(start({ startMilliseconds: 1000 })).rejects.toMatchObject({
    code: "E_BAD_DATASET", message: expect.stringMatching(/^file: cannot start the process that reads it: it was not ready within 1 s\. /),
  });
});

test.each(["SIGINT", "SIGTERM", "SIGHUP"])("a process that is ended by %s is not blamed on the file", async (signal) => {
  await expect(call("#interrupted", signal)).rejects.toMatchObject({
    code: "E_ABORTED", message: `file: reading it was interrupted (${signal})`,
  });
});

test("a refusal keeps its code", async () => {
  await expect(call("#refusal")).rejects.toMatchObject({ name: "SteeringError", code: "E_NOT_FOUND", message: "it is not there" });
});

test("what cannot be copied is refused", async () => {
  await expect(call("", () => undefined)).rejects.toMatchObject({ code: "E_BAD_DATASET" });
});

test("a signal stops it, before or while it works", async () => {
  await expect(call("#forever", undefined, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "E_ABORTED" });
  const begun = performance.now();
  await expect(call("#forever", undefined, { signal: AbortSignal.timeout(700) })).rejects.toMatchObject({ code: "E_ABORTED" });
  expect(performance.now() - begun).toBeLessThan(10_000); // not the 20 s of its bounds
});
