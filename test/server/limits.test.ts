import { request } from "node:http";
import { connect } from "node:net";
import { statSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { serve } from "../../lib/server.js";
import { isLoopback } from "../../lib/server/index.js";
import { askingAt, servedForFile, startServer, until } from "../support/served.js";

const lines: string[] = [];
const { server, space, ask } = await servedForFile({ logger: (_, message) => { lines.push(message); } });
const long = { model: "tiny", prompt: "Q:Why?\nA:", max_tokens: 900, temperature: 1, stream: true };
const KEY = "a-long-enough-key";

/** Begins to stream; resolves with the rest of it. */
async function begun(url: string, body: object = long): Promise<{ id: string; rest: Promise<string> }> {
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const first = (await reader.read()).value!;
  const rest = (async () => {
    let text = first;
    for (let each = await reader.read(); !each.done; each = await reader.read()) text += each.value;
    return text;
  })();
  return { id: (JSON.parse(first.split("\n\n")[0]!.slice(6)) as { id: string }).id, rest };
}

/** The status of a request with these headers, which `fetch` would not send. */
function statusWith(url: string, headers: Record<string, string>, path = "/v1/models"): Promise<number> {
  return new Promise((resolve, reject) => {
    request(url + path, { headers }, (response) => { response.resume(); resolve(response.statusCode!); }).on("error", reject).end();
  });
}

/** The status of the answer to these bytes, once the server has closed the connection; `isHalfOpen`: this side never closes it. */
function statusOfRaw(port: number, text: string, { isHalfOpen = false } = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: isHalfOpen }, () => socket.write(text));
    socket.setEncoding("utf8").on("data", (piece: string) => { answer += piece; });
    const end = isHalfOpen ? "close" : "end";
    socket.on("error", (error: NodeJS.ErrnoException) => { if (error.code !== "ECONNRESET" && error.code !== "EPIPE") reject(error); });
    socket.on(end, () => {
      resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]));
      socket.destroy();
    });
    if (isHalfOpen) setInterval(() => { if (!socket.destroyed) socket.write("x"); }, 20).unref(); // a closed peer answers with a reset
  });
}

describe("who may ask", () => {
  const { port } = new URL(server.url);

  test.each<[number, string, string]>([
    [200, `127.0.0.1:${port}`, ""], [200, `localhost:${port}`, ""], [200, `[::1]:${port}`, ""], [403, "evil.example", ""],
    [403, `evil.example:${port}`, ""], [403, `127.0.0.1.evil.example:${port}`, ""], [403, "user@127.0.0.1", ""],
    [200, `localhost:${port}`, `http://localhost:${port}`],
    [403, `localhost:${port}`, "https://evil.example"], [403, `localhost:${port}`, "null"], [403, `localhost:${port}`, "http://localhost:1"],
  ])("%i for Host %s, Origin %s", async (status, host, origin) => {
    expect(await statusWith(server.url, { host, ...(origin !== "" && { origin }) })).toBe(status);
  });

  test("nobody is told the paths of models", async () => {
    const { json } = await askingAt(server.url)("GET", "/v1/models");
    expect((json as { data: unknown[] }).data).toMatchObject([{ id: "chat", source: null }, { id: "tiny", source: "tiny" }]);
    expect(JSON.stringify(json)).not.toContain(space.folder);
  });

  test("other machines need a key, which the page and /health do not", async () => {
    await expect(serve({ models: ["tiny"], host: "0.0.0.0", port: 0 })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    await expect(serve({ models: ["tiny"], apiKeys: ["short"], port: 0 })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    expect(["localhost", "127.0.0.1", "127.3.2.1", "::1", "0.0.0.0", "::", "127.evil.example"].map(isLoopback))
      .toEqual([true, true, true, true, false, false, false]);
    await using other = await startServer(space, { models: ["tiny"], host: "0.0.0.0", apiKeys: ["another-key-of-ours", KEY] });
    const asking = askingAt(other.url.replace("0.0.0.0", "127.0.0.1"));
    const models = async (authorization?: string): Promise<number> =>
      (await asking("GET", "/v1/models", undefined, authorization === undefined ? {} : { authorization })).status;
    expect(await Promise.all([undefined, "Bearer wrong", KEY, `Bearer ${KEY}x`, `Bearer ${KEY}`, "Bearer another-key-of-ours"].map(models)))
      .toEqual([401, 401, 401, 401, 200, 200]);
    for (const [path, status] of [["/health", 200], ["/", 200], ["/metrics", 401], ["/openapi.json", 401], ["/v1/none", 401]] as const) {
      const response = await fetch(other.url.replace("0.0.0.0", "127.0.0.1") + path);
      expect([path, response.status]).toEqual([path, status]);
      if (status === 401) expect(response.headers.get("www-authenticate")).toBe("Bearer");
    }
    // Another spelling of a path leads to the same route.
    const port = Number(new URL(other.url).port);
    for (const path of ["/%761/models", "/v1/%6dodels", "/metric%73", `http://127.0.0.1:${port}/v1/models`, "/%6fpenapi.json"]) {
      expect([path, await statusOfRaw(port, `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`)])
        .toEqual([path, 401]);
    }
  });

  test("a request that is not HTTP is refused, and its connection closed", async () => {
    expect(await statusOfRaw(Number(new URL(server.url).port), "no HTTP at all\r\n\r\n", { isHalfOpen: true })).toBe(400);
  });

  test("a prompt too long for the model is refused before its echo is written", async () => {
    const prompt = Array.from({ length: 100_000 }, () => 5);
    const { status, json } = await ask("POST", "/v1/completions", { model: "tiny", prompt, echo: true, n: 16, max_tokens: 1 });
    expect([status, json.error.code]).toEqual([400, "E_CONTEXT_FULL"]);
  });

  test("an unknown field of any length is refused at once", async () => {
    const begun = process.cpuUsage();
    const { status } = await ask("POST", "/v1/completions", { ["x".repeat(2_000_000)]: 1 });
    expect(status).toBe(400);
    const { user, system } = process.cpuUsage(begun);
    expect((user + system) / 1000).toBeLessThan(2000);
  });

  test("no page elsewhere can read answers, frame them or have them guessed", async () => {
    const { headers } = await ask("GET", "/v1/models");
    expect(headers.get("access-control-allow-origin")).toBeNull();
    expect(Object.fromEntries(headers)).toMatchObject({
      "x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
      "cache-control": "no-store", "cross-origin-resource-policy": "same-origin",
    });
    expect((await ask("OPTIONS", "/v1/models")).status).toBe(405);
  });
});

test.each<[string, unknown]>([
  ["nothing", undefined], ["no list", { models: "tiny" }], ["no models", { models: [] }], ["a wrong port", { models: ["tiny"], port: -1 }],
  ["no time", { models: ["tiny"], timeout: 0 }], ["a text for a number", { models: ["tiny"], parallel: "2" }],
  ["one name twice", { models: ["tiny", "tiny"] }], ["no logger", { models: ["tiny"], logger: 3 }],
  ["a mistyped option", { models: ["tiny"], vektors: "vectors" }],
  ["a key of several words", { models: ["tiny"], apiKeys: ["open sesame"] }],
  ["a host with a scheme", { models: ["tiny"], allowedHosts: ["https://a.example"] }],
  ["a host with a port", { models: ["tiny"], allowedHosts: ["a.example:443"] }],
  ["a key that a header garbles", { models: ["tiny"], apiKeys: ["sésame-ouvre-toi"] }],
])("serve refuses %s", async (_, options) => {
  await expect(serve(options as never)).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
});

describe("limits", () => {
  test("a full queue is a 429 with Retry-After; those who wait are answered", async () => {
    await using other = await startServer(space, { models: ["tiny"], parallel: 2, maxQueue: 1 });
    const asking = askingAt(other.url);
    const running = [await begun(other.url), await begun(other.url)];
    const waiting = asking("POST", "/v1/completions", { prompt: "Q:Why?\nA:", max_tokens: 2 });
    await until(asking, { running: 2, queued: 1 });
    for (const path of ["/v1/completions", "/v1/score"]) {
      const refused = await asking("POST", path, { prompt: "x", ...(path === "/v1/score" && { continuation: "y" }) });
      expect(refused).toMatchObject({ status: 429, json: { error: { type: "rate_limit_error", code: "queue_full" } } });
      expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    }
    await asking("DELETE", `/v1/generations/${running[0]!.id}`);
    expect((await waiting).status).toBe(200);
    await asking("DELETE", `/v1/generations/${running[1]!.id}`);
    await Promise.all(running.map(({ rest }) => rest));
    await until(asking, { running: 0, queued: 0 });
    expect((await asking("GET", "/health")).json).toMatchObject({ models_loaded: 1 });
  });

  test("an answer that takes too long ends with a 504, or with an error event", async () => {
    await using other = await startServer(space, { models: ["tiny"], timeout: 0.3 });
    const asking = askingAt(other.url);
    expect(await asking("POST", "/v1/completions", { ...long, stream: false }))
      .toMatchObject({ status: 504, json: { error: { type: "timeout_error", code: "timeout" } } });
    const { rest } = await begun(other.url);
    expect((await rest).trim().split("\n\n").at(-1)).toContain('"code":"timeout"');
    await until(asking, { running: 0, queued: 0 });
  });

  test("bodies that are too large, too deep, or not JSON are refused", async () => {
    const send = async (body: string, type = "application/json"): Promise<[number, string | undefined]> => {
      const response = await fetch(`${server.url}/v1/completions`, { method: "POST", body, headers: { "content-type": type } });
      return [response.status, ((await response.json()) as { error?: { message: string } }).error?.message];
    };
    expect((await send(`{"prompt":"${"x".repeat(5_000_000)}"}`))[0]).toBe(413);
    expect(await send(`{"prompt":${"[".repeat(1_000_000)}`)).toEqual([400, expect.stringContaining("nests")]);
    expect(await send('{"prompt":')).toEqual([400, expect.stringContaining("JSON")]);
    expect((await send("prompt=x", "application/x-www-form-urlencoded"))[0]).toBe(415);
    expect((await send('{"prompt":"\\ud800", "max_tokens": 1}'))[0]).toBe(200); // half a surrogate pair is a text, too
    expect((await ask("POST", "/v1/completions", { prompt: "x".repeat(20_000) }))).toMatchObject({ status: 400 });
    expect((await ask("POST", "/v1/completions", { prompt: Array(64).fill("x"), n: 16 }))).toMatchObject({ status: 400 });
  });

  test("a client that sends nonsense, or nothing, harms nobody", async () => {
    const { port } = new URL(server.url);
    const minus = "POST /v1/score HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n";
    for (const nonsense of ["GET / HTTP/9\r\n\r\n", "\0\0\0\0", minus]) {
      const answer = await new Promise<string>((resolve) => {
        let text = "";
        const socket = connect(Number(port), "127.0.0.1", () => socket.write(nonsense));
        socket.on("data", (data) => { text += String(data); }).on("close", () => resolve(text));
      });
      expect(answer).toMatch(/^HTTP\/1\.1 400/);
    }
    expect((await ask("GET", "/health")).json).toMatchObject({ status: "ok" });
  });

  test("models share the memory: an idle one makes room, a busy one does not", async () => {
    const memory = statSync(space.path("chat.gguf")).size + 1e6;
    await expect(startServer(space, { memory: 1e6 })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    await using other = await startServer(space, { memory });
    const asking = askingAt(other.url);
    const loaded = async (): Promise<boolean[]> => ((await asking("GET", "/v1/models")).json.data as Array<{ loaded: boolean }>)
      .map((each) => each.loaded);
    expect(await loaded()).toEqual([true, false]);
    expect((await asking("POST", "/v1/completions", { model: "tiny", prompt: "x", max_tokens: 1 })).status).toBe(200);
    expect(await loaded()).toEqual([false, true]);
    const { id, rest } = await begun(other.url);
    expect(await asking("POST", "/v1/completions", { model: "chat", prompt: "x", max_tokens: 1 }))
      .toMatchObject({ status: 503, json: { error: { code: "no_memory" } } });
    await asking("DELETE", `/v1/generations/${id}`);
    await rest;
  });
});

describe("closing", () => {
  test("running answers end, new requests are refused", async () => {
    const other = await startServer(space, { models: ["tiny"] });
    const { rest } = await begun(other.url, { ...long, max_tokens: 60 });
    const closed = other.close();
    await expect(fetch(`${other.url}/v1/models`).then(({ status }) => status)).resolves.toBe(503);
    expect((await rest).trim().endsWith("data: [DONE]")).toBe(true);
    await closed;
    await expect(fetch(`${other.url}/health`)).rejects.toThrow();
  });

  test("those that take longer are told why they end", async () => {
    const other = await startServer(space, { models: ["tiny"], grace: 0 });
    const { rest } = await begun(other.url);
    await other.close();
    expect((await rest).trim().split("\n\n").at(-1)).toContain('"code":"closing"');
  });

  test("a port that is taken is an error", async () => {
    const { port } = new URL(server.url);
    await expect(startServer(space, { models: ["tiny"], port: Number(port) })).rejects.toMatchObject({ code: "E_BUSY" });
  });
});

test("the log has no prompts, and the metrics count", async () => {
  await ask("POST", "/v1/completions", { prompt: "a secret question", max_tokens: 3 });
  await ask("POST", "/v1/completions", { prompt: "a secret question", max_tokens: "many" });
  expect(lines.join("\n")).not.toMatch(/secret|127\.0\.0\.1|Bearer/);
  expect(lines).toEqual(expect.arrayContaining([expect.stringMatching(/^POST \/v1\/completions 200 \d+ ms$/)]));
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(metrics).toMatch(/^llama_steer_requests_total\{method="POST",route="\/v1\/completions",status="200"\} [1-9]/m);
  expect(metrics).toMatch(/^llama_steer_tokens_total [1-9]/m);
  expect(metrics).toMatch(/^llama_steer_running 0$/m);
});
