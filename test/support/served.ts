import { setTimeout as after } from "node:timers/promises";
import { afterAll, expect, jest } from "@jest/globals";
import { loadModel } from "../../lib/index.js";
import { Choice } from "../../lib/server/answers/choice.js";
import { saveVector } from "../../lib/vector/index.js";
import { serve, type Server, type ServeOptions } from "../../lib/server.js";
import { writeChatModel } from "./chat-model.js";
import { randomVector, scratch, type Scratch } from "./tiny-files.js";

/** How all test servers load models. */
export const LOAD = { threads: 1, gpuLayers: 0, vet: false, flashAttention: false, kvType: "f32" } as const;

/** A server for one test file, and how to talk to it. */
export interface Served {
  server: Server;
  space: Scratch;
  /** Sends JSON and reads JSON. */
  ask: (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Reply>;
}

export interface Reply {
  status: number;
  headers: Headers;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  json: any;
}

/** Writes `chat.gguf`, the embedded model with a template for chats, and the vectors `one` and `two` for it. */
export async function writeServed(space: Scratch): Promise<void> {
  writeChatModel(space.path("chat.gguf"));
  const model = await loadModel(space.path("chat.gguf"), LOAD);
  for (const [seed, name] of ["one", "two"].entries()) {
    await saveVector(space.path(`vectors/${name}.safetensors`), await randomVector(model, seed + 1, { nSteps: 8, scale: 6 }));
  }
  model.dispose();
}

/** Starts a server of `chat`, and `tiny`, with a folder of vectors; it is gone after the last test. */
export async function servedForFile(options: Partial<ServeOptions> = {}): Promise<Served> {
  const space = scratch();
  await writeServed(space);
  const server = await startServer(space, options);
  afterAll(async () => {
    await server.close({ now: true });
    space[Symbol.dispose]();
  });
  return { server, space, ask: askingAt(server.url) };
}

export function startServer(space: Scratch, options: Partial<ServeOptions> = {}): Promise<Server> {
  return serve({
    models: [space.path("chat.gguf"), "tiny"], port: 0, vectors: space.path("vectors"), page: space.path("no-page"),
    load: { ...LOAD, maxSequences: 24 }, ...options,
  });
}

export function askingAt(url: string): Served["ask"] {
  return async (method, path, body, headers = {}) => {
    const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } };
    const response = await fetch(url + path, { method, headers, ...sent });
    const text = await response.text();
    return { status: response.status, headers: response.headers, json: text === "" ? undefined : JSON.parse(text) as never };
  };
}

/** Until disposed, every answer of this process pauses after each token, so that a test can act before it ends. */
export function slowAnswers(pauseMs = 50): Disposable {
  const { write } = Choice.prototype;
  const spy = jest.spyOn(Choice.prototype, "write").mockImplementation(async function* (this: Choice, writing) {
    for await (const event of write.call(this, writing)) {
      yield event;
      await after(pauseMs);
    }
  });
  return { [Symbol.dispose]: () => spy.mockRestore() };
}

/** The values of a stream of events, without the end mark. */
export async function eventsOf(response: Response): Promise<Array<Record<string, never>>> {
  const lines = (await response.text()).split("\n\n").filter((line) => line !== "");
  return lines.map((line) => line.replace(/^data: /, "")).filter((data) => data !== "[DONE]").map((data) => JSON.parse(data) as never);
}

/** Waits until /health reports these counts. */
export async function until(asking: Served["ask"], counts: object): Promise<void> {
  for (let left = 500; left > 0; left--) {
    const { json } = await asking("GET", "/health");
    if (Object.entries(counts).every(([name, count]) => (json as Record<string, unknown>)[name] === count)) return;
    await new Promise((resolve) => { setTimeout(resolve, 10); });
  }
  expect((await asking("GET", "/health")).json).toMatchObject(counts);
}
