// A model whose layers another process computes: the same answers, and what happens when that process dies. Needs `build.mjs --rpc`;
// test/devices/run.ts builds it and runs this.
import { spawn, type ChildProcess } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { packageRoot } from "#native/prebuilt";
import { gallery, loadModel, schedule, SteeringVector, type Model } from "../../lib/index.js";
import { serve } from "../../lib/server.js";
import { freePort, listens } from "./ports.js";

const QUESTION = "How do I make a pie?";
let server: ChildProcess;
let port: number;
let vector: SteeringVector;

/** Starts a server; resolves once it listens. */
async function serverAt(port: number): Promise<ChildProcess> {
  const command = join(packageRoot, "dist", "bin", "llama-steer.js");
  const child = spawn(process.execPath, [command, "rpc-server", "--port", String(port), "--threads", "1"]);
  for (let attempt = 0; attempt < 100 && !(await listens(port)); attempt++) await new Promise((resolve) => setTimeout(resolve, 200));
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGKILL");
  await ended;
}

const lent = (...others: string[]): Promise<Model> => loadModel("tiny", { rpc: [`localhost:${port}`, ...others], threads: 1 });

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
  server = await serverAt(port);
});

afterAll(() => kill(server));

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
    for await (const _ of stream) if (++count === 5) await kill(server);
  };
  await expect(read()).rejects.toMatchObject({ code: "E_LLAMA", message: expect.stringContaining("no longer answers") });
  // Every model on that server fails, each time: none goes on with what it last received.
  for (const each of [model, other, other]) await expect(each.generate(QUESTION, { maxNewTokens: 3 }).result()).rejects.toThrow(/RPC server/);
  await expect(lent()).rejects.toMatchObject({ code: "E_NATIVE" });
  expect(await answers(local)).toEqual(expected);
  server = await serverAt(port);
  // Its weights are gone with the first server: the new one must not compute without them.
  await expect(model.generate(QUESTION, { maxNewTokens: 3 }).result()).rejects.toThrow(/RPC server/);
  model.dispose();
  other.dispose();
  await using later = await lent();
  expect(await answers(later)).toEqual(expected);
});

test("one of two servers dies while the model is idle; it is freed, and the other one is used alone", async () => {
  const otherPort = await freePort();
  const other = await serverAt(otherPort);
  const model = await lent(`127.0.0.1:${otherPort}`);
  const expected = await answers(model);
  await kill(other);
  await expect(model.generate(QUESTION, { maxNewTokens: 3 }).result()).rejects.toThrow(/RPC server/);
  model.dispose();
  await using alone = await lent();
  expect(await answers(alone)).toEqual(expected);
});

test("llama-steer's own server loads the model again once the RPC server is back, and says what is wrong until then", async () => {
  const lending = await freePort();
  let lender = await serverAt(lending);
  const own = await serve({ models: ["tiny"], port: 0, load: { rpc: [`127.0.0.1:${lending}`], threads: 1 } });
  const ask = async (): Promise<[number, string]> => {
    const body = JSON.stringify({ model: "tiny", prompt: "Q: How do I make a pie?\nA:", max_tokens: 3 });
    const answer = await fetch(`${own.url}/v1/completions`, { method: "POST", body, headers: { "content-type": "application/json" } });
    return [answer.status, await answer.text()];
  };
  expect((await ask())[0]).toBe(200);
  await kill(lender);
  expect(await ask()).toEqual([500, expect.stringContaining("the RPC server no longer answers")]);
  expect(await ask()).toEqual([500, expect.stringMatching(new RegExp(`cannot be loaded: .*127\\.0\\.0\\.1:${lending}`))]);
  lender = await serverAt(lending);
  expect((await ask())[0]).toBe(200);
  await own.close();
  await kill(lender);
});

test("a server that serves somebody else says so after ten seconds", async () => {
  const busyPort = await freePort();
  const busy = await serverAt(busyPort);
  const client = connect(busyPort, "127.0.0.1");
  await once(client, "connect");
  await expect(loadModel("tiny", { rpc: [`127.0.0.1:${busyPort}`] })).rejects.toMatchObject({
    code: "E_NATIVE", message: expect.stringContaining("serves another process"),
  });
  client.destroy();
  await kill(busy);
});

test.each([
  ["twice", ["127.0.0.1:5", "localhost:5"]], ["no port", ["127.0.0.1"]], ["a port too large", ["h:70000"]],
])("a list of servers that is wrong: %s", async (_, rpc) => {
  await expect(loadModel("tiny", { rpc })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
});

test("a port where nobody listens", async () => {
  const closed = await freePort();
  await expect(loadModel("tiny", { rpc: [`127.0.0.1:${closed}`] })).rejects.toMatchObject({
    code: "E_NATIVE", message: expect.stringContaining(`127.0.0.1:${closed}`),
  });
});
