import { copyFile, readFile, readdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { gallery, loadModel, loadSteering, models, prompts, type LoadedSteering } from "../../lib/index.js";
import { entriesFor, type PackedVector } from "../../lib/gallery/index.js";
import { parseSteer, scheduleText, type WrittenSchedule } from "../../lib/steering/index.js";
import { saveVector } from "../../lib/vector/index.js";
import { localServer, serveBeginning, serveFile, sha256, temporaryFolder, type LocalServer } from "../support/io-helpers.js";
import { provenance, smallVector } from "../support/vectors.js";

const SAMPLE = { question: "Why?", unsteered: "Because.", steered: "Perché sì.\nDavvero." };

let source: string;
let folder: string;

beforeEach(async () => {
  process.env["LLAMA_STEER_HOME"] = await temporaryFolder();
  [source, folder] = [join(await temporaryFolder(), "v.safetensors"), await temporaryFolder()];
  await saveVector(source, smallVector());
});

const packed = (change: Partial<PackedVector> = {}): PackedVector =>
  ({ vector: source, name: "italian", modelName: "gemma", schedule: { kind: "fixed", alpha: 1 }, sample: SAMPLE, ...change });

/** Changes a gallery's file; `change` gets its only entry. */
async function edit(change: (entry: Record<string, unknown>, file: Record<string, unknown>) => void): Promise<void> {
  const path = join(folder, "gallery.json");
  const json = JSON.parse(await readFile(path, "utf8")) as { vectors: Array<Record<string, unknown>> };
  change(json.vectors[0]!, json);
  await writeFile(path, JSON.stringify(json));
}

/** Serves the folder. */
async function served(): Promise<LocalServer> {
  const files = new Map<string, Buffer>(
    await Promise.all((await readdir(folder)).map(async (name) => [`/g/${name}`, await readFile(join(folder, name))] as const)),
  );
  return localServer((request, response) => {
    const body = files.get(request.url!);
    if (body) serveFile(body)(request, response);
    else response.writeHead(404).end();
  });
}

describe("pack", () => {
  test("writes the vectors and what they are; reading gives the same", async () => {
    const [entry] = await gallery.pack(folder, [packed({ description: "d", licence: "MIT" })]);
    expect(await readdir(folder)).toEqual(["gallery.json", "italian.safetensors"]);
    const bytes = await readFile(join(folder, "italian.safetensors"));
    expect(bytes.equals(await readFile(source))).toBe(true);
    expect(entry).toEqual({
      name: "italian", property: "ITA vs ENG", description: "d", licence: "MIT", modelName: "gemma", model: provenance().model,
      site: "head_out",
      layers: [0, 2], nSteps: 2, format: "qa", schedule: { kind: "fixed", alpha: 1 }, sample: SAMPLE, file: "italian.safetensors",
      size: bytes.length, sha256: sha256(bytes),
    });
    expect(await gallery.read(folder)).toEqual({ source: join(folder, "gallery.json"), vectors: [entry] });
  });

  test("adds to a gallery, and replaces what has the same name", async () => {
    await gallery.pack(folder, [packed()]);
    await gallery.pack(folder, [packed({ name: "other" }), packed({ licence: "CC0" })]);
    const { vectors } = await gallery.read(folder);
    expect(vectors.map(({ name, licence }) => [name, licence])).toEqual([["other", undefined], ["italian", "CC0"]]);
    const another = { ...smallVector(), provenance: { ...provenance(), model: { ...provenance().model, fileHash: "sha256:another" } } };
    await saveVector(source, another);
    await expect(gallery.pack(folder, [packed()])).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringContaining("gemma"),
    });
    await expect(gallery.pack(folder, [packed({ name: "x" }), packed({ name: "x" })])).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    expect(await gallery.read(folder)).toMatchObject({ vectors });
  });

  test("takes the calibrated schedule, and refuses a vector without any", async () => {
    const { schedule: _, ...without } = packed();
    await expect(gallery.pack(folder, [without])).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringContaining("not calibrated"),
    });
    const schedule = { kind: "dynamic", topP: 0.3, alphaMax: 2, strongAlpha: 2, klReduction: "mean" } as const;
    const calibration = { schedule, effect: "e", wanted: 1, found: 1, deltaPerplexity: 0, n: 1, questions: { name: "q", hash: "h" } };
    await saveVector(source, { ...smallVector(), provenance: { ...provenance(), calibration } });
    expect(await gallery.pack(folder, [without])).toMatchObject([{ schedule }]);
  });

  test.each<[string, Partial<PackedVector>]>([
    ["name", { name: "../x" }], ["name", { name: "Loud" }], ["schedule", { schedule: { kind: "fixed", alpha: 1e99 } }],
    ["sample.steered", { sample: { ...SAMPLE, steered: "\u001b[2J" } }], ["description", { description: "a\nb" }],
  ])("refuses a bad %s", async (field, change) => {
    await expect(gallery.pack(folder, [packed(change)])).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringContaining(field),
    });
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("pull", () => {
  test("a vector of a folder stays where it is", async () => {
    await gallery.pack(folder, [packed()]);
    expect(await gallery.pull("italian", { gallery: folder })).toBe(join(folder, "italian.safetensors"));
    await expect(gallery.pull("italien", { gallery: folder })).rejects.toMatchObject({
      code: "E_NOT_FOUND", message: expect.stringContaining("did you mean italian?"),
    });
  });

  test("a vector of a server comes into the cache, once", async () => {
    await gallery.pack(folder, [packed()]);
    const server = await served();
    const path = await gallery.pull("italian", { gallery: `${server.url}/g` });
    expect(path.startsWith(join(models.homeFolder(), "vectors"))).toBe(true);
    expect((await readFile(path)).equals(await readFile(source))).toBe(true);
    expect(await gallery.pull("italian", { gallery: `${server.url}/g/gallery.json` })).toBe(path);
    expect(server.requests.filter(({ url }) => url!.endsWith(".safetensors"))).toHaveLength(1);
    await copyFile(join(folder, "gallery.json"), path); // damaged since
    expect((await readFile(await gallery.pull("italian", { gallery: `${server.url}/g/` }))).equals(await readFile(source))).toBe(true);
  });

  test("an interrupted download is resumed", async () => {
    await gallery.pack(folder, [packed()]);
    const server = await served();
    const [whole, body] = [server.handler, await readFile(source)];
    const abort = new AbortController();
    server.handler = (request, response) => {
      if (request.url!.endsWith(".json")) whole(request, response);
      else serveBeginning(body, body.length / 2, () => undefined)(request, response);
    };
    const stopped = gallery.pull(
      "italian", { gallery: `${server.url}/g`, signal: abort.signal, onProgress: (done) => { if (done > 0) abort.abort(); } },
    );
    await expect(stopped).rejects.toMatchObject({ code: "E_ABORTED" });
    server.handler = whole;
    const path = await gallery.pull("italian", { gallery: `${server.url}/g` });
    expect((await readFile(path)).equals(body)).toBe(true);
    expect(server.requests.at(-1)!.headers.range).toBe(`bytes=${body.length / 2}-`);
  });

  test.each<[string, string, string, (entry: Record<string, unknown>) => void]>([
    ["another hash", "E_BAD_VECTOR", "E_DOWNLOAD", (entry) => { entry["sha256"] = "0".repeat(64); }],
    ["another size", "E_BAD_VECTOR", "E_DOWNLOAD", (entry) => { entry["size"] = 5; }],
    [
      "another model", "E_MODEL_MISMATCH", "E_MODEL_MISMATCH",
      (entry) => { entry["model"] = { ...entry["model"] as object, fileHash: "sha256:x" }; },
    ],
    ["other layers", "E_BAD_VECTOR", "E_BAD_VECTOR", (entry) => { entry["layers"] = [0]; }],
    ["a file that is missing", "E_BAD_VECTOR", "E_DOWNLOAD", (entry) => { entry["file"] = "x.safetensors"; }],
  ])("%s is refused, and nothing is kept", async (_, here, there, change) => {
    await gallery.pack(folder, [packed()]);
    await edit(change);
    await expect(gallery.pull("italian", { gallery: folder })).rejects.toMatchObject({ code: here });
    const server = await served();
    await expect(gallery.pull("italian", { gallery: `${server.url}/g` })).rejects.toMatchObject({ code: there });
    expect((await readdir(join(models.homeFolder(), "vectors"))).filter((name) => name.endsWith(".safetensors"))).toEqual([]);
  });
});

describe("galleries that are not what they seem", () => {
  test.each<[string, (entry: Record<string, unknown>, file: Record<string, unknown>) => void]>([
    ["a path as a file", (entry) => { entry["file"] = "../../x.safetensors"; }],
    ["a terminal's commands", (entry) => { entry["property"] = "\u001b]0;x\u0007"; }],
    ["a newer version", (_, file) => { file["version"] = 2; }],
    ["one name twice", (entry, file) => { file["vectors"] = [entry, entry]; }],
    ["no vectors", (_, file) => { delete file["vectors"]; }],
    ["a huge file", (entry) => { entry["size"] = 2 ** 40; }],
    ["a bad schedule", (entry) => { entry["schedule"] = { kind: "loud" }; }],
  ])("%s", async (_, change) => {
    await gallery.pack(folder, [packed()]);
    await edit(change);
    await expect(gallery.read(folder)).rejects.toMatchObject({ code: "E_BAD_VECTOR", message: expect.stringContaining("gallery.json") });
  });

  test("no JSON, no folder, no https, an endless answer, a refusal", async () => {
    await writeFile(join(folder, "gallery.json"), "{");
    await expect(gallery.read(folder)).rejects.toMatchObject({ code: "E_BAD_VECTOR" });
    await expect(gallery.read(join(folder, "none"))).rejects.toMatchObject({ code: "E_NOT_FOUND" });
    for (const address of ["http://example.org", "ftp://127.0.0.1/g", "https://me:secret@example.org", "file:///etc"]) {
      await expect(gallery.read(address)).rejects.toMatchObject({ code: "E_BAD_ARGUMENT", message: expect.not.stringContaining("secret") });
    }
    const server = await localServer((_, response) => {
      response.writeHead(200);
      const more = (): void => { if (!response.destroyed) response.write(Buffer.alloc(2 ** 20), more); };
      more();
    });
    await expect(gallery.read(server.url)).rejects.toMatchObject({ code: "E_DOWNLOAD", message: expect.stringContaining("more than") });
    server.handler = (_, response) => response.writeHead(404).end();
    await expect(gallery.read(server.url)).rejects.toMatchObject({ code: "E_DOWNLOAD", message: expect.stringContaining("404") });
  });
});

describe("the package's own vectors", () => {
  test("are small and whole, and the demo has three for tiny", async () => {
    const { vectors } = await gallery.read();
    for (const { name, size, file } of vectors) {
      expect(size).toBeLessThan(200_000);
      expect(basename(await gallery.pull(name))).toBe(file);
    }
    expect(vectors.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(1_000_000);
    using model = await loadModel("tiny");
    const forTiny = entriesFor({ source: "", vectors }, await model.fingerprint());
    expect(forTiny.map(({ name }) => name)).toEqual(["tiny-italian", "tiny-french", "tiny-formal"]);
    expect(vectors.filter(({ modelName }) => modelName === "tiny")).toEqual(forTiny);
  });

  test("each does what its sample says", async () => {
    const { vectors } = await gallery.read();
    // the last digits of another processor may change the rest
    const begin = (text: string): string[] => text.trim().split(/\s+/).slice(0, 4);
    for (const modelName of new Set(vectors.map((entry) => entry.modelName))) {
      if (!models.isInstalled(models.find(modelName))) continue;
      using model = await loadModel(modelName, { threads: 1 });
      for (const { name, sample, format, schedule } of vectors.filter((entry) => entry.modelName === modelName)) {
        const tokens = await prompts.tokens(model, sample.question, { ...(format && { format }) });
        const answer = (steer: LoadedSteering[]): Promise<string> => model.generate(tokens, { steer, maxNewTokens: 8 }).text();
        const steered = await answer(await loadSteering({ vector: await gallery.pull(name), schedule }));
        expect([name, begin(await answer([])), begin(steered)]).toEqual([name, begin(sample.unsteered), begin(sample.steered)]);
      }
    }
  }, 120_000);
});

test.each<WrittenSchedule>([
  { kind: "fixed", alpha: -0.5 }, { kind: "start", alpha: 2 }, { kind: "diminishing", alpha: 1.5 },
  { kind: "window", alpha: 2, from: 1, to: 5 },
  { kind: "dynamic", topP: 0.3, alphaMax: 1, strongAlpha: 3, klReduction: "sum" },
  { kind: "dynamic", topP: 0.3, alphaMax: 1, strongAlpha: 3, klReduction: "mean", skip: { below: 0.1, after: 3, for: 8 } },
])("%p as text is read back as it was", (schedule) => {
  expect(parseSteer(`v.safetensors:${scheduleText(schedule)}`).schedule).toEqual(schedule);
});
