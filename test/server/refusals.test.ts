import { connect } from "node:net";
import { writeFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { askingAt, servedForFile, startServer } from "../support/served.js";

const { server, space, ask } = await servedForFile();
const prompt = "Q:How can I stay healthy?\nA:";

/** What the server answers to these bytes. */
function answerTo(bytes: string): Promise<string> {
  const { hostname, port } = new URL(server.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let text = "";
    socket.on("data", (piece) => { text += String(piece); }).on("close", () => resolve(text)).on("error", reject);
  });
}

test.each<[object, string, RegExp]>([
  [{ echo: true, logprobs: 2 }, "logprobs", /^echo and logprobs together .*\/v1\/score/],
  [{ steering: Array.from({ length: 17 }, () => "one:fixed,1") }, "steering", /^steering: Too big: expected array to have <=16 items$/],
  [{ stop: Array.from({ length: 17 }, () => "a") }, "stop", /^stop: Too big: expected array to have <=16 items$/],
  [{ stop: 3 }, "stop", /^stop: expected string, received number, or expected array, received number$/],
  [
    { response_format: { type: "json_schema", json_schema: { name: "x" } } }, "response_format.json_schema.schema",
    /expected a JSON schema$/,
  ],
])("says what is wrong with %j", async (given, param, message) => {
  const { status, json } = await ask("POST", "/v1/completions", { model: "tiny", prompt, max_tokens: 2, ...given });
  expect(status).toBe(400);
  expect(json.error.param).toBe(param);
  expect(json.error.message).toMatch(message);
});

test("in the words of a request, not of the library or the command line", async () => {
  const messageOf = async (given: object): Promise<string> =>
    (await ask("POST", "/v1/completions", { model: "tiny", prompt, max_tokens: 1, ...given })).json.error.message as string;
  expect(await messageOf({ first_tokens: [5, 6] })).toBe("first_tokens has 2 tokens, but max_tokens allows only 1");
  expect(await messageOf({ logit_bias: { 999999: 1 } })).toMatch(/^logit_bias names token 999999/);
  expect(await messageOf({ steering: "one:fixed,1" })).toMatch(/was extracted from another model.*Extract it again for this model\.$/);
});

test("a route with an id that is too long does not exist, also where the page's files are served beside it", async () => {
  writeFileSync(space.path("index.html"), "");
  await using paged = await startServer(space, { page: space.folder });
  for (const asking of [askingAt(paged.url), ask]) {
    const { status, json } = await asking("GET", `/v1/vectors/${"a".repeat(300)}`);
    expect([status, json.error.code]).toEqual([404, "route_not_found"]);
  }
  expect((await ask("DELETE", "/v1/models")).status).toBe(405);
});

test("a body without a content type is told what is expected", async () => {
  const response = await fetch(`${server.url}/v1/completions`, { method: "POST", body: new TextEncoder().encode("{}") });
  expect(response.status).toBe(415);
  expect((await response.json() as { error: { message: string } }).error.message).toContain("expected application/json");
});

test.each([
  ["\x16\x03\x01\x02", 400, "this is not a request in HTTP/1.1"],
  [`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"a".repeat(20_000)}\r\n\r\n`, 431, "the headers have more than 16384 bytes"],
])("what is no request gets a reason, too", async (bytes, status, reason) => {
  const [head, body] = (await answerTo(bytes)).split("\r\n\r\n");
  expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(JSON.parse(body!)).toEqual({ error: { message: reason, type: "invalid_request_error", param: null, code: null } });
});

test("a folder of vectors that is a file is refused before the server listens", async () => {
  writeFileSync(space.path("file"), "");
  await expect(startServer(space, { vectors: space.path("file") })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
  await expect(startServer(space, { vectors: space.path("file/vectors") })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
});
