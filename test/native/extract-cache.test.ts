import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { mkdir, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { extract, SteeringVector, type Dataset, type ExtractionOptions, type Model } from "../../lib/index.js";
import { Context } from "../../lib/engine/index.js";
import { throughCache } from "../../lib/extract/cache.js";
import { extractionKey, optionsKey } from "../../lib/extract/cache-key.js";
import { tinyForFile } from "../support/file-model.js";

const DIST = fileURLToPath(new URL("../../", import.meta.url));
const { space, model } = await tinyForFile();
const questions = ["Why?", "How so?", "And then?", "When?"];
const WORDS = { towards: "is glad", away: "is sad", questions, maxNewTokens: 2, layers: [0, 1], strength: false, cache: true } as const;
const oldHome = process.env["LLAMA_STEER_HOME"];
let home = "";
let round = 0;

beforeEach(async () => {
  home = space.path(`home${round++}`);
  process.env["LLAMA_STEER_HOME"] = home;
  await mkdir(home);
});
afterEach(() => {
  if (oldHome === undefined) delete process.env["LLAMA_STEER_HOME"];
  else process.env["LLAMA_STEER_HOME"] = oldHome;
});

const kept = async (): Promise<string[]> => (await readdir(join(home, "extracted")).catch(() => [])).sort();

/** Extracts, and says how often the model computed and which file the vector came from. */
async function counted(options: ExtractionOptions): Promise<{ vector: SteeringVector; decodes: number; from: string | undefined }> {
  using decode = jest.spyOn(Context.prototype, "decode");
  let from: string | undefined;
  const vector = await extract(model, { ...options, onCached: (path) => { from = path; } });
  return { vector, decodes: decode.mock.calls.length, from };
}

describe("an extraction with the same model and options", () => {
  test("is read from the cache: the same vector, with its health and strength, and nothing is computed", async () => {
    const first = await counted({ ...WORDS, strength: true });
    expect(first.decodes).toBeGreaterThan(0);
    expect(first.from).toBeUndefined();
    const again = await counted({ ...WORDS, strength: true });
    expect(again.decodes).toBe(0);
    expect(again.from).toBe(join(home, "extracted", (await kept())[0]!));
    expect({ ...again.vector }).toEqual({ ...first.vector });
    const [made, read] = await Promise.all([first, again].map(async ({ vector }, i) => {
      await vector.save(space.path(`${i}.safetensors`));
      return readFile(space.path(`${i}.safetensors`));
    }));
    expect(made!.equals(read!)).toBe(true);
    expect(again.vector.provenance).toMatchObject({ health: { nPairs: 4 }, calibration: { by: expect.stringMatching(/^(kl|description)$/) } });
    expect((await SteeringVector.load(again.from!)).hash).toBe(first.vector.hash); // an ordinary vector file
  });

  test("is computed and not kept with cache: false", async () => {
    expect((await counted({ ...WORDS, cache: false })).decodes).toBeGreaterThan(0);
    expect(await kept()).toEqual([]);
    await extract(model, WORDS);
    expect((await counted({ ...WORDS, cache: false })).decodes).toBeGreaterThan(0);
  });

  test("LLAMA_STEER_NO_CACHE is the default of `cache`", async () => {
    const { cache: _, ...unsaid } = WORDS;
    expect(process.env["LLAMA_STEER_NO_CACHE"]).toBe("1"); // jest.config.mjs sets it
    await extract(model, unsaid);
    expect(await kept()).toEqual([]);
    delete process.env["LLAMA_STEER_NO_CACHE"];
    try {
      await extract(model, unsaid);
    } finally {
      process.env["LLAMA_STEER_NO_CACHE"] = "1";
    }
    expect(await kept()).toHaveLength(1);
  });

  test("that is aborted leaves nothing, and an aborted one gets nothing", async () => {
    const stop = new AbortController();
    const options = { ...WORDS, signal: stop.signal, onProgress: () => stop.abort() };
    await expect(extract(model, options)).rejects.toMatchObject({ code: "E_ABORTED" });
    expect(await kept()).toEqual([]);
    await extract(model, WORDS);
    await expect(extract(model, { ...WORDS, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "E_ABORTED" });
  });

  test("may run twice at once", async () => {
    const both = await Promise.all([extract(model, WORDS), extract(model, WORDS)]);
    expect([1, 2]).toContain((await kept()).length);
    const { vector, decodes } = await counted(WORDS);
    expect(decodes).toBe(0);
    expect(both.map(({ hash }) => hash)).toContain(vector.hash);
  });

  test.each<[string, (bytes: Buffer) => Buffer]>([
    ["cut short", (bytes) => bytes.subarray(0, bytes.length - 5)],
    ["empty", () => Buffer.alloc(0)],
    ["changed in one bit of a value", (bytes) => { bytes[bytes.length - 2]! ^= 1; return bytes; }],
    ["changed in its provenance", (bytes) => Buffer.from(bytes.toString("latin1").replace("is glad", "is mad "), "latin1")],
  ])("is computed again where its file is %s", async (_, damage) => {
    const { vector } = await counted(WORDS);
    const path = join(home, "extracted", (await kept())[0]!);
    const whole = await readFile(path);
    await writeFile(path, damage(Buffer.from(whole)));
    const again = await counted(WORDS);
    expect(again.decodes).toBeGreaterThan(0);
    expect(again.vector.provenance).toMatchObject({ property: "is glad vs is sad" });
    expect(await counted(WORDS)).toMatchObject({ decodes: 0, vector: { data: again.vector.data } });
    expect(vector.layers).toEqual(again.vector.layers);
  });

  test("is computed where a folder has the file's name, or a file that of the folder", async () => {
    await extract(model, WORDS);
    const path = join(home, "extracted", (await kept())[0]!);
    await rm(path);
    await mkdir(path);
    expect((await counted(WORDS)).decodes).toBeGreaterThan(0);
    await rm(join(home, "extracted"), { recursive: true });
    await writeFile(join(home, "extracted"), "");
    expect((await counted(WORDS)).decodes).toBeGreaterThan(0);
  });

  test("is not kept if the caller changed its options meanwhile", async () => {
    const changing = { ...WORDS, questions: [...questions], onProgress: () => { changing.questions[0] = "Where?"; } };
    await extract(model, changing);
    expect(await kept()).toEqual([]);
  });
});

test("the folder stays below its limit: what has not been used for longest goes first", async () => {
  const vector = await extract(model, { ...WORDS, cache: false });
  const keep = (towards: string, most?: number): Promise<SteeringVector> =>
    throughCache(model, { ...WORDS, towards }, async () => vector, most);
  await keep("one");
  const [one] = await kept();
  const size = (await readFile(join(home, "extracted", one!))).length;
  await keep("two");
  const two = (await kept()).find((name) => name !== one)!;
  for (const [name, seconds] of [[one!, 1000], [two, 2000]] as const) await utimes(join(home, "extracted", name), seconds, seconds);
  await keep("one"); // used: now the younger
  await keep("three", 2 * size);
  expect(await kept()).toHaveLength(2);
  expect(await kept()).toContain(one);
  expect(await kept()).not.toContain(two);
  await keep("four", size - 1); // too large to keep, and no reason to remove others
  expect(await kept()).toHaveLength(2);
});

describe("what the key depends on", () => {
  const dataset = (name: string, output = "a"): Dataset => ({ name, instruction: "", rows: [{ input: "q", output }] });
  type AllNames<Each> = Each extends unknown ? keyof Each : never;
  /** Two values of every option; null for those that do not change the vector. A new option is an error here until it is named. */
  const values: Record<AllNames<ExtractionOptions>, [unknown, unknown] | null> = {
    towards: ["a", "b"], away: ["a", "b"], questions: [["a"], ["b"]], maxNewTokens: [1, 2], pooling: ["step", "mean"],
    site: ["head_out", "resid_post"], layers: [[0], [0, 1]], format: ["chat", "qa"], system: ["a", "b"],
    templateVariables: [{ a: 1 }, { a: "1" }], positive: [dataset("a"), dataset("a", "b")], negative: [dataset("a"), dataset("b")],
    iclExamples: [1, 2], support: [1, 2], seed: [1, 2], supportIndices: [[0], [0, 0]], promptFormat: ["clean", "published"],
    method: ["mean", "pca"], nPairs: [1, 2], texts: [[{ positive: "a", negative: "b" }], [{ positive: "a", negative: "c" }]],
    name: ["a", "b"], strength: [true, false], signal: null, onProgress: null, cache: null, onCached: null,
  };
  const key = (options: object): string => optionsKey(options as ExtractionOptions)!;

  test.each(Object.entries(values))("%s", (name, pair) => {
    const [a, b] = pair ?? [1, 2];
    expect(new Set([key({}), key({ [name]: a }), key({ [name]: b })]).size).toBe(pair === null ? 1 : 3);
    expect(key({ [name]: undefined })).toBe(key({})); // left out
    expect(key({ [name]: a, zone: 1 })).toBe(key({ zone: 1, [name]: a })); // in any order
  });

  test("options that JSON cannot represent have no key, and the extraction says what is wrong", async () => {
    const templateVariables = { n: 1n };
    expect(optionsKey({ ...WORDS, templateVariables })).toBeUndefined();
    await expect(extract(model, { ...WORDS, templateVariables })).resolves.toBeInstanceOf(SteeringVector); // qa has no variables
  });

  test("model, loading options, datasets, and the day if the template writes it", async () => {
    const like = (changes: object): Model => Object.create(model, Object.fromEntries(Object.entries(changes)
      .map(([name, value]) => [name, { value }]))) as Model;
    const fingerprint = await model.fingerprint();
    const dated = { ...model.info, chatTemplate: "{{ strftime_now('%d') }}" };
    const models = [
      model, like({ fingerprint: async () => ({ ...fingerprint, fileHash: "other" }) }), like({ settings: { kvType: "f32", x: 1 } }),
      like({ info: dated }),
    ];
    const keys = await Promise.all(models.map((each) => extractionKey(each, "{}")));
    expect(new Set(keys).size).toBe(4);
    expect(await extractionKey(model, "{}")).toBe(keys[0]);
    jest.useFakeTimers({ now: Date.now() + 48 * 3600 * 1000, doNotFake: ["setImmediate", "nextTick", "setTimeout"] });
    try {
      expect(await extractionKey(models[3]!, "{}")).not.toBe(keys[3]);
      expect(await extractionKey(model, "{}")).toBe(keys[0]);
    } finally {
      jest.useRealTimers();
    }
    const oldDatasets = process.env["LLAMA_STEER_DATASETS"];
    process.env["LLAMA_STEER_DATASETS"] = space.path("none"); // the questions that measure the strength are others
    try {
      expect(await extractionKey(model, "{}")).not.toBe(keys[0]);
    } finally {
      if (oldDatasets === undefined) delete process.env["LLAMA_STEER_DATASETS"];
      else process.env["LLAMA_STEER_DATASETS"] = oldDatasets;
    }
  });
});

const READ_ONLY = `
  const { extract, loadModel } = await import("${DIST}lib/index.js");
  const model = await loadModel("tiny", { gpuLayers: 0, threads: 1, vet: false });
  const found = [];
  for (const towards of JSON.parse(process.argv[1])) {
    let from = "computed";
    await extract(model, { towards, questions: ["a", "b"], maxNewTokens: 1, strength: false, onCached: () => { from = "cached"; } });
    found.push(from);
  }
  console.log(found.join(" "));
`;
// Only root may make a file system of its own; what is left is said out loud.
const canMount = process.platform === "linux" && spawnSync("unshare", ["--mount", "true"]).status === 0;
if (!canMount) process.stderr.write("\n*** no mount namespace can be made here: A READ-ONLY CACHE FOLDER IS NOT TESTED ***\n");

(canMount ? test : test.skip)("a read-only cache folder is read, and otherwise only costs time", () => {
  const { LLAMA_STEER_NO_CACHE: _, ...env } = process.env;
  const run = (before: string, towards: string[]): string => spawnSync("unshare", [
    "--mount", "sh", "-c", `${before} exec "$0" --input-type=module --eval "$1" "$2"`, process.execPath, READ_ONLY, JSON.stringify(towards),
  ], { encoding: "utf8", env }).stdout;
  expect(run("", ["is glad"])).toBe("computed\n");
  const readOnly = `mount --bind ${home} ${home} && mount -o remount,ro,bind ${home} && ! touch ${home}/x 2>/dev/null &&`;
  expect(run(readOnly, ["is glad", "is sad", "is sad"])).toBe("cached computed computed\n");
});
