import { rmSync, writeFileSync, copyFileSync } from "node:fs";
import { connect, type AddressInfo } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fastify, { type FastifyInstance } from "fastify";
import { afterEach, describe, expect, test } from "@jest/globals";
import { sendEvents } from "../../lib/server/http/sse.js";
import { ModelPool } from "../../lib/server/pool/pool.js";
import { servedModels } from "../../lib/server/pool/served-model.js";
import { LOAD, servedForFile, startServer, until } from "../support/served.js";

const { server, space, ask } = await servedForFile({ parallel: 1 });

describe("a model that is in use is not freed", () => {
  copyFileSync(space.path("chat.gguf"), space.path("other.gguf"));

  /** A pool that has room for one large model or two small ones. */
  async function poolOf(sizes: Record<string, "small" | "large">): Promise<ModelPool> {
    const served = await servedModels(Object.keys(sizes).map((id) => (id === "tiny" ? id : space.path(`${id}.gguf`))));
    const models = served.map((model) => ({ ...model, bytes: sizes[model.id] === "large" ? 2 : 1 }));
    return new ModelPool(models, { load: LOAD, memory: 2, parallel: 2, maxQueue: 2 });
  }

  test("although another lease of it is given back twice", async () => {
    const pool = await poolOf({ chat: "large", tiny: "large" });
    const [first, second] = [await pool.lease("chat"), await pool.lease("chat")];
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    await expect(pool.lease("tiny")).rejects.toMatchObject({ status: 503, code: "no_memory" });
    expect(second.model.tokenise("Q:").length).toBeGreaterThan(0);
    second[Symbol.dispose]();
    expect((await pool.lease("tiny")).model).toBeDefined();
    expect(() => second.model.tokenise("Q:")).toThrow(expect.objectContaining({ code: "E_DISPOSED" }));
    await pool.close();
  });

  test("unless its RPC server has gone away: it is freed when it is given back, and loaded again by the next request", async () => {
    const pool = await poolOf({ chat: "small" });
    const [first, second] = [await pool.lease("chat"), await pool.lease("chat")];
    first.model.isLost = true;
    first[Symbol.dispose]();
    second[Symbol.dispose]();
    for (let left = 500; left > 0 && pool.nLoaded > 0; left--) await new Promise((resolve) => { setTimeout(resolve, 10); });
    expect(pool.nLoaded).toBe(0);
    const third = await pool.lease("chat");
    third.model.isLost = true; // while it is still leased
    const fourth = await pool.lease("chat");
    expect(fourth.model.tokenise("Q:").length).toBeGreaterThan(0);
    expect(() => third.model.tokenise("Q:")).toThrow(expect.objectContaining({ code: "E_DISPOSED" }));
    await pool.close();
  });

  test("although it was idle when room was first looked for", async () => {
    const pool = await poolOf({ chat: "small", other: "small", tiny: "large" });
    for (const name of ["chat", "other"]) (await pool.lease(name))[Symbol.dispose]();
    const third = pool.lease("tiny").then(() => "loaded", (error: { code: string }) => error.code);
    for (let left = 1000; left > 0 && pool.entries[0]!.model; left--) await Promise.resolve();
    expect(pool.entries[0]!.model).toBeUndefined(); // it is being freed
    const lease = await pool.lease("other");
    expect(await third).toBe("no_memory");
    expect(lease.model.tokenise("Q:").length).toBeGreaterThan(0);
    await pool.close();
  });
});

describe("a score gives back its place, its model and its timer", () => {
  const body = { model: "chat", prompt: "Q:Why?\nA:", continuation: " Because." };
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

  test("whether it is answered or refused", async () => {
    const before = timers();
    const N = 12;
    for (let n = 0; n < N; n++) {
      expect((await ask("POST", "/v1/score", body)).status).toBe(200);
      expect((await ask("POST", "/v1/score", { ...body, steering: "one" })).status).toBe(400);
    }
    expect(timers() - before).toBeLessThan(N);
    expect((await ask("GET", "/health")).json).toMatchObject({ running: 0, queued: 0 });
  });

  test("when it takes too long, or its client leaves while it waits", async () => {
    await using late = await startServer(space, { timeout: 0.001, parallel: 1 });
    const post = (url: string, sent: object, signal?: AbortSignal): Promise<Response> => fetch(`${url}/v1/score`, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(sent), ...(signal && { signal }),
    });
    const long = { ...body, continuation: Array.from({ length: 1500 }, (_, index) => 5 + index % 50) };
    expect(await (await post(late.url, long)).json()).toMatchObject({ error: { type: "timeout_error", code: "timeout" } });
    expect(await (await fetch(`${late.url}/health`)).json()).toMatchObject({ running: 0, queued: 0 });

    const abort = new AbortController();
    const running = post(server.url, long);
    await until(ask, { running: 1 });
    const waiting = post(server.url, body, abort.signal);
    await until(ask, { running: 1, queued: 1 });
    abort.abort();
    await expect(waiting).rejects.toThrow();
    await until(ask, { queued: 0 });
    expect((await running).status).toBe(200);
    await until(ask, { running: 0 });
    expect((await ask("POST", "/v1/score", body)).status).toBe(200);
  });
});

describe("a stream of events", () => {
  const apps: FastifyInstance[] = [];
  afterEach(async () => { for (const app of apps.splice(0)) await app.close(); });

  /** Serves `values` as events at a port of its own. */
  async function streaming(
    values: () => AsyncGenerator<unknown>,
    { stop, onFailure = () => undefined, onReply }:
    { stop?: AbortSignal; onFailure?: (error: unknown) => void; onReply?: (reply: object) => void },
  ): Promise<number> {
    const app = fastify({ forceCloseConnections: true });
    apps.push(app);
    app.get("/", (_, reply) => {
      onReply?.(reply.raw);
      const left = new AbortController();
      reply.raw.once("close", () => left.abort());
      return sendEvents(reply, values(), { left: left.signal, onFailure, ...(stop && { stop }) });
    });
    await app.listen({ port: 0 });
    return (app.server.address() as AddressInfo).port;
  }

  test("is forgotten by what could have stopped it, though that lives on", async () => {
    const stop = new AbortController();
    const replies: Array<WeakRef<object>> = [];
    const onReply = (reply: object): void => { replies.push(new WeakRef(reply)); };
    const port = await streaming(async function* () { yield 1; }, { stop: stop.signal, onReply });
    for (let n = 0; n < 8; n++) {
      await (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } })).text();
    }
    await new Promise((resolve) => { setTimeout(resolve, 20); });
    setFlagsFromString("--expose-gc");
    (runInNewContext("gc") as () => void)();
    expect(replies).toHaveLength(8);
    expect(replies.filter((reply) => reply.deref()).length).toBeLessThan(4);
    expect(stop.signal.aborted).toBe(false);
  });

  test("whose client does not read takes no more values than fit on the way", async () => {
    let taken = 0;
    const piece = "x".repeat(2 ** 16);
    const port = await streaming(async function* () {
      for (; taken < 4000; taken++) yield piece;
    }, {});
    const socket = connect(port, "127.0.0.1", () => socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    socket.pause();
    let before = -1;
    while (before !== taken) {
      before = taken;
      await new Promise((resolve) => { setTimeout(resolve, 200); });
    }
    socket.destroy();
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(1000); // what the system buffers, not 256 MB
  });

  test("that fails in the middle says so to the log, and to the client only that it did", async () => {
    const failures: unknown[] = [];
    const port = await streaming(async function* () {
      yield "begun";
      throw new TypeError("something of ours at /a/path");
    }, { onFailure: (error) => failures.push(error) });
    const text = await (await fetch(`http://127.0.0.1:${port}/`)).text();
    expect(text).toContain('"code":"internal_error"');
    expect(text).not.toContain("/a/path");
    expect(failures).toEqual([expect.objectContaining({ message: "something of ours at /a/path" })]);
  });
});

test("a failing job is in the log, without what it was asked", async () => {
  const lines: string[] = [];
  await using other = await startServer(space, {
    models: ["tiny", space.path("other.gguf")], logger: (level, message) => { lines.push(`${level}: ${message}`); },
  });
  writeFileSync(space.path("other.gguf"), "no model any more");
  const sent = JSON.stringify({ model: "other", towards: "keeps a secret wish", away: "tells it" });
  const headers = { "content-type": "application/json" };
  const begun = await fetch(`${other.url}/v1/vectors/extract`, { method: "POST", headers, body: sent });
  const { id } = await begun.json() as { id: string };
  const events = await (await fetch(`${other.url}/v1/jobs/${id}/events`)).text();
  expect(events).toContain('"status":"failed"');
  expect(lines.filter((line) => line.startsWith("warn: "))).toEqual([expect.stringMatching(/E_BAD_GGUF|GGUF/)]);
  expect(lines.join("\n")).not.toContain("secret");
  rmSync(space.path("other.gguf"));
});
