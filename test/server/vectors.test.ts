import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { eventsOf, askingAt, servedForFile, startServer, type Reply } from "../support/served.js";

const { server, space, ask } = await servedForFile();
const one = readFileSync(space.path("vectors/one.safetensors"));

async function upload(bytes: Uint8Array, url = server.url, type = "application/octet-stream"): Promise<Reply> {
  const response = await fetch(`${url}/v1/vectors`, { method: "POST", body: Buffer.from(bytes), headers: { "content-type": type } });
  return { status: response.status, headers: response.headers, json: await response.json() };
}
const idsOf = async (): Promise<string[]> => ((await ask("GET", "/v1/vectors")).json.data as Array<{ id: string }>).map(({ id }) => id);

/** The same vector with another property: another file. */
function renamed(bytes: Buffer, property: string): Buffer {
  const copy = Buffer.from(bytes);
  copy.write(property, copy.indexOf("random 1")); // eight bytes, too
  return copy;
}

describe("the shelf of vectors", () => {
  test("has those of the folder and of the package, and says which files are none", async () => {
    writeFileSync(space.path("vectors/broken.safetensors"), "no vector");
    const { json } = await ask("GET", "/v1/vectors");
    expect(json.data).toEqual(expect.arrayContaining([
      expect.objectContaining({
        id: "one", source: "folder", kind: "vector", property: "random 1", models: ["chat"], steering: null, n_steps: 8,
      }),
      expect.objectContaining({ id: "tiny-italian", source: "gallery", steering: expect.objectContaining({ vector: "tiny-italian" }),
        dynamic: { strongAlpha: 1.5, alphaMax: 1.5 } }),
    ]));
    const message = expect.not.stringContaining(space.folder) as unknown;
    expect(json.problems).toEqual([{ file: "broken.safetensors", code: "E_BAD_VECTOR", message }]);
  });

  test("an upload is kept under its property and hash, once, and can be used, downloaded and deleted", async () => {
    const bytes = renamed(one, "../Élan");
    const added = await upload(bytes);
    expect(added).toMatchObject({ status: 201, json: { id: expect.stringMatching(/^e-lan-[0-9a-f]{12}$/), property: "../Élan" } });
    const id = added.json.id as string;
    expect(existsSync(space.path(`vectors/${id}.safetensors`))).toBe(true);
    expect(await upload(bytes)).toMatchObject({ status: 200, json: { id } });
    expect(await idsOf()).toContain(id);
    const answer = await ask("POST", "/v1/completions", { prompt: "Q:Why?\nA:", max_tokens: 2, steering: `${id}:fixed,1` });
    expect(answer.json.steering).toMatchObject([{ vector: id }]);
    const file = await fetch(`${server.url}/v1/vectors/${id}/file`);
    expect(Buffer.from(await file.arrayBuffer()).equals(bytes)).toBe(true);
    expect(file.headers.get("x-content-type-options")).toBe("nosniff");
    expect((await ask("DELETE", `/v1/vectors/${id}`)).json).toEqual({ id, object: "vector", deleted: true });
    expect(existsSync(space.path(`vectors/${id}.safetensors`))).toBe(false);
    expect((await ask("GET", `/v1/vectors/${id}`)).status).toBe(404);
  });

  test("two servers share a folder: what one takes or deletes, the other has or lacks at once", async () => {
    const other = await startServer(space);
    try {
      const { id } = (await upload(renamed(one, "shared 1"))).json as { id: string };
      const question = { prompt: "Q:Why?\nA:", max_tokens: 4, temperature: 0, steering: `${id}:fixed,1` };
      const here = await ask("POST", "/v1/completions", question);
      const there = await askingAt(other.url)("POST", "/v1/completions", question);
      const { text } = here.json.choices[0] as { text: string };
      expect(there).toMatchObject({ status: 200, json: { choices: [{ text }], steering: [{ vector: id }] } });
      expect((await askingAt(other.url)("DELETE", `/v1/vectors/${id}`)).status).toBe(200);
      expect((await ask("POST", "/v1/completions", question)).status).toBe(404);
    } finally {
      await other.close({ now: true });
    }
  });

  test.each<[string, () => Buffer]>([
    ["nothing", () => Buffer.alloc(0)], ["a text", () => Buffer.from("hello")], ["half of it", () => one.subarray(0, one.length / 2)],
    ["not a number", () => { const copy = Buffer.from(one); copy.writeFloatLE(NaN, copy.length - 4); return copy; }],
    ["an endless header", () => { const copy = Buffer.from(one); copy.writeBigUInt64LE(2n ** 60n); return copy; }],
    ["another program's tensors", () => Buffer.from(readFileSync("models/tiny/tiny.gguf").subarray(0, 4096))],
  ])("an upload of %s is refused, and nothing is kept", async (_, bytes) => {
    const before = await idsOf();
    expect(await upload(bytes())).toMatchObject({ status: 400, json: { error: { code: expect.stringMatching(/E_BAD_VECTOR|E_NOT_FINITE/) } } });
    expect(await idsOf()).toEqual(before);
  });

  test("names are looked up, never made part of a path", async () => {
    writeFileSync(space.path("secret.safetensors"), one);
    for (const name of ["../secret", "..%2Fsecret", "%2e%2e%2fsecret", `${space.folder}/secret`.replaceAll("/", "%2F"), "__proto__"]) {
      expect((await ask("GET", `/v1/vectors/${name}`)).status).toBe(404);
      expect((await ask("DELETE", `/v1/vectors/${name}`)).status).toBe(404);
    }
    for (const vector of ["../secret", `${space.folder}/secret.safetensors`, "../secret.safetensors", "steer.json"]) {
      const { status } = await ask("POST", "/v1/completions", { prompt: "x", steering: { vector, schedule: { kind: "fixed", alpha: 1 } } });
      expect(status).toBe(404);
    }
    expect(existsSync(space.path("secret.safetensors"))).toBe(true);
  });

  test("what belongs to the package stays; without a folder nothing is added", async () => {
    expect(await ask("DELETE", "/v1/vectors/tiny-italian")).toMatchObject({ status: 403, json: { error: { type: "permission_error" } } });
    await using other = await startServer(space, { models: ["tiny"], vectors: undefined as never });
    expect(await upload(one, other.url)).toMatchObject({ status: 403, json: { error: { code: "read_only" } } });
    expect((await askingAt(other.url)("GET", "/v1/server")).json).toMatchObject({ writable: false, default_model: "tiny" });
    expect((await askingAt(other.url)("POST", "/v1/vectors/extract", { towards: "is happy" })).status).toBe(403);
    expect((await upload(one, server.url, "application/json")).status).toBe(400);
    expect((await upload(one, server.url, "text/plain")).status).toBe(415);
  });
});

describe("jobs", () => {
  const questions = ["What do bees make?", "Why do leaves fall?"];
  async function followed(id: string): Promise<Array<Record<string, unknown>>> {
    return eventsOf(await fetch(`${server.url}/v1/jobs/${id}/events`));
  }

  test("two descriptions become a vector, and its strength is measured by another job", async () => {
    const body = { model: "chat", towards: "is cheerful", away: "is gloomy", questions, max_new_tokens: 3, strength: false };
    const begun = await ask("POST", "/v1/vectors/extract", body);
    expect(begun).toMatchObject({ status: 202, json: { object: "job", kind: "extract", model: "chat", vector: null, error: null } });
    const states = await followed(begun.json.id as string);
    expect(states.at(-1)).toMatchObject({ status: "succeeded", progress: { stage: "extracting" }, vector: {
      property: "is cheerful vs is gloomy", origin: "words", models: ["chat"], source: "folder", health: { verdict: expect.any(String) },
    } });
    const { id } = states.at(-1)!["vector"] as { id: string };
    expect(await idsOf()).toContain(id);
    const measured = await ask("POST", `/v1/vectors/${id}/calibrate`, { model: "chat", questions, max_new_tokens: 2, budget: 0.5 });
    const last = (await followed(measured.json.id as string)).at(-1)!;
    expect(last).toMatchObject({ kind: "calibrate", status: "succeeded", vector: {
      calibration: { by: "kl", budget: 0.5, curve: expect.arrayContaining([{ value: expect.any(Number), kl: expect.any(Object) }]) },
      steering: { schedule: { kind: "fixed" } },
    } });
    const calibrated = (last["vector"] as { id: string }).id;
    expect((await ask("POST", "/v1/completions", { prompt: "Q:Why?\nA:", max_tokens: 1, steering: calibrated })).status).toBe(200);
  });

  test("pairs of texts become a vector; a failure says why; a cancelled job keeps nothing", async () => {
    const pairs = [{ positive: "I am glad!", negative: "I am sad." }, { positive: "How nice!", negative: "How awful." }];
    const made = await ask("POST", "/v1/vectors/extract", { model: "chat", pairs, names: ["glad", "sad"], strength: false });
    const vector = { property: "glad vs sad", origin: "pairs" };
    expect((await followed(made.json.id as string)).at(-1)).toMatchObject({ status: "succeeded", vector });
    const same = await ask("POST", "/v1/vectors/extract", { towards: "is glad", away: "is glad" });
    expect((await followed(same.json.id as string)).at(-1)).toMatchObject({ status: "failed", error: { code: "E_BAD_ARGUMENT" } });

    const before = await idsOf();
    const long = await ask("POST", "/v1/vectors/extract", { towards: "sings", max_new_tokens: 200 });
    const waiting = await ask("POST", "/v1/vectors/extract", { towards: "dances" });
    expect((await ask("DELETE", `/v1/jobs/${waiting.json.id}`)).json).toMatchObject({ status: "cancelled" });
    expect((await ask("DELETE", `/v1/jobs/${long.json.id}`)).status).toBe(200);
    expect((await followed(long.json.id as string)).at(-1)).toMatchObject({ status: "cancelled", vector: null });
    expect(await idsOf()).toEqual(before);
    const { data } = (await ask("GET", "/v1/jobs")).json as { data: Array<{ id: string }> };
    expect(data[0]!.id).toBe(waiting.json.id);
    expect((await ask("GET", "/v1/jobs/none")).status).toBe(404);
  });

  test("no more than eight wait", async () => {
    const body = { towards: "sings", max_new_tokens: 200 };
    const begun = [];
    for (let index = 0; index < 8; index++) begun.push(await ask("POST", "/v1/vectors/extract", body));
    expect(begun.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 202));
    const refused = await ask("POST", "/v1/vectors/extract", body);
    expect(refused).toMatchObject({ status: 429, json: { error: { type: "rate_limit_error", code: "too_many_jobs" } } });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    for (const { json } of begun) await ask("DELETE", `/v1/jobs/${json.id}`);
  });
});
