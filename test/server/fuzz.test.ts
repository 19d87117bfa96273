import { expect, test } from "@jest/globals";
import { seededRandom } from "../../lib/maths/random.js";
import { Fuzzer, type Schema } from "../support/fuzz.js";
import { servedForFile } from "../support/served.js";

const failures: string[] = [];
const { server, ask } = await servedForFile({
  timeout: 5, logger: (level, message) => { if (level === "warn") failures.push(message); },
});

interface Operation {
  requestBody?: { content: Record<string, { schema: Schema }> };
}
type Description = { paths: Record<string, Record<string, Operation>> };

const REQUESTS = 200;
const TYPES = ["application/json", "application/json", "application/json", "application/json; charset=utf-8", "text/plain"] as const;
const IDS = ["one", "none", "..", "a/b", "%00", "x".repeat(300), "\ud83d\ude00"];

test("malformed requests are refused with a reason, and the server lives", async () => {
  const { paths } = (await ask("GET", "/openapi.json")).json as Description;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { requestBody }]) =>
      ({ method: method.toUpperCase(), path, schema: requestBody?.content["application/json"]?.schema })));
  const withBody = operations.filter(({ schema }) => schema !== undefined);
  expect(withBody.length).toBeGreaterThan(7);
  const random = seededRandom(20);
  const fuzzer = new Fuzzer(random);
  const statuses = new Map<number, number>();
  for (let index = 0; index < REQUESTS; index++) {
    const { method, path, schema } = fuzzer.pick(random() < 0.85 ? withBody : operations);
    const url = path.replace("{id}", encodeURIComponent(fuzzer.pick(IDS)));
    const body = JSON.stringify(fuzzer.wrong(fuzzer.right(schema ?? { type: "object" })));
    const sent = random() < 0.2 ? fuzzer.wrongText(body) : body;
    const hasBody = schema !== undefined || random() < 0.3;
    const response = await fetch(server.url + url, {
      method, ...(hasBody && method !== "GET" && { body: sent, headers: { "content-type": fuzzer.pick(TYPES) } }),
    });
    const text = await response.text();
    statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    const what = `${method} ${url} ${sent.slice(0, 300)} → ${response.status} ${text.slice(0, 300)}`;
    // What a fuzzer changes may still be right: an optional part that is missing, or another text.
    if (response.status < 400) continue;
    if (response.status >= 500) throw new Error(what);
    const { error } = JSON.parse(text) as { error: { message: string; type: string } };
    expect([what, error.message.length > 5 && /_error$/.test(error.type)]).toEqual([what, true]);
  }
  const refused = [...statuses].filter(([status]) => status >= 400).reduce((sum, [, count]) => sum + count, 0);
  expect(refused).toBeGreaterThan(0.6 * REQUESTS);
  expect(failures).toEqual([]);
  for (const { id } of (await ask("GET", "/v1/jobs")).json.data as Array<{ id: string }>) await ask("DELETE", `/v1/jobs/${id}`);
  const { status, json } = await ask("POST", "/v1/completions", { prompt: "Q:Why?\nA:", max_tokens: 3 });
  expect([status, json.usage]).toMatchObject([200, { completion_tokens: 3 }]);
});
