// A model whose layers another process computes: the same answers, and what happens when that process dies. Needs `build.mjs --rpc`;
// test/devices/run.ts builds it and runs this.
import { spawn, type ChildProcess } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { join } from "node:path";
import { packageRoot } from "#native/prebuilt";
import { gallery, loadModel, schedule, SteeringVector, type Model } from "../../lib/index.js";
import { freePort, listens } from "./ports.js";

const QUESTION = "How do I make a pie?";
let server: ChildProcess;
let port: number;
let vector: SteeringVector;

async function startServer(): Promise<void> {
  const command = join(packageRoot, "dist", "bin", "llama-steer.js");
  server = spawn(process.execPath, [command, "rpc-server", "--port", String(port), "--threads", "1"]);
  for (let attempt = 0; attempt < 100 && !(await listens(port)); attempt++) await new Promise((resolve) => setTimeout(resolve, 200));
}

async function stopServer(): Promise<void> {
  const ended = new Promise((resolve) => server.once("close", resolve));
  server.kill("SIGKILL");
  await ended;
}

const lent = (): Promise<Model> => loadModel("tiny", { rpc: [`127.0.0.1:${port}`], threads: 1 });

/** Unsteered, Fixed and Dyn. */
async function answers(model: Model): Promise<string[]> {
  const texts: string[] = [];
  for (const steer of [[], vector.with(schedule.fixed(0.75)), vector.with(schedule.dynamic({ topP: 0.5 }))]) {
    texts.push((await model.generate(QUESTION, { steer, maxNewTokens: 20 }).result()).text);
  }
  return texts;
}

beforeAll(async () => {
  vector = await SteeringVector.load(await gallery.pull("tiny-italian"));
  port = await freePort();
  await startServer();
});

afterAll(stopServer);

test("answers are those of this machine, steered or not", async () => {
  await using local = await loadModel("tiny", { threads: 1, rpc: [] });
  await using model = await lent();
  expect(await answers(model)).toEqual(await answers(local));
});

test("a server that dies in the middle of an answer is an error; the process lives, and uses the server that comes after", async () => {
  await using local = await loadModel("tiny", { threads: 1, rpc: [] });
  const expected = await answers(local);
  const model = await lent();
  const other = await lent();
  await other.generate(QUESTION, { maxNewTokens: 3 }).result();
  const stream = model.generate(QUESTION, { maxNewTokens: 200 });
  const read = async (): Promise<void> => {
    let count = 0;
    for await (const _ of stream) if (++count === 5) await stopServer();
  };
  await expect(read()).rejects.toMatchObject({ code: "E_LLAMA", message: expect.stringContaining("no longer answers") });
  // Every model on that server fails, each time: none goes on with what it last received.
  for (const each of [model, other, other]) await expect(each.generate(QUESTION, { maxNewTokens: 3 }).result()).rejects.toThrow(/RPC server/);
  await expect(lent()).rejects.toMatchObject({ code: "E_NATIVE" });
  expect(await answers(local)).toEqual(expected);
  await startServer();
  model.dispose();
  other.dispose();
  await using later = await lent();
  expect(await answers(later)).toEqual(expected);
});

test("a port where nobody listens", async () => {
  const closed = await freePort();
  await expect(loadModel("tiny", { rpc: [`127.0.0.1:${closed}`] })).rejects.toMatchObject({
    code: "E_NATIVE", message: expect.stringContaining(`127.0.0.1:${closed}`),
  });
});
