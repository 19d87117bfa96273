import { readdir, readFile, rm, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { mergeRuns, planMerge, waves, type RunFile, type Shard } from "../../lib/results/index.js";
import { temporaryFolder } from "../support/io-helpers.js";
import { carryOut, resultsIn, wholeRun } from "../support/run-folders.js";
import { aRun } from "../support/runs.js";

describe("shards", () => {
  const VECTOR = Buffer.from([1, 2, 3]);

  async function shards(count: number, changes: (index: number) => Partial<RunFile> = () => ({})): Promise<string[]> {
    const base = await temporaryFolder();
    return Promise.all(Array.from({ length: count }, async (_, index) => {
      const folder = join(base, `part-${index}`);
      await carryOut(folder, aRun({ shard: { index, count }, ...changes(index) }));
      await writeFile(join(folder, "ITA-ENG.safetensors"), VECTOR);
      return folder;
    }));
  }

  test("share the groups of prompts out among them", () => {
    for (const count of [1, 2, 3, 9]) {
      const parts = Array.from({ length: count }, (_, index) => waves(aRun({ shard: { index, count } })));
      expect(parts.flat().sort((a, b) => a[0]! - b[0]!)).toEqual(waves(aRun()));
    }
  });

  test.each([1, 2, 3, 5])("%d of them make what one process makes, in any order", async (count) => {
    const { bytes } = await wholeRun();
    const folders = await shards(count);
    const out = join(await temporaryFolder(), "all");
    const merged = await mergeRuns(out, [...folders].reverse());
    expect((await readFile(resultsIn(out))).equals(bytes)).toBe(true);
    expect(merged.run).toEqual(aRun());
    expect(merged.isComplete).toBe(true);
    expect(await readFile(join(out, "ITA-ENG.safetensors"))).toEqual(VECTOR);
    await expect(mergeRuns(out, folders)).rejects.toMatchObject({
      code: "E_BAD_RUN", message: expect.stringMatching(/already holds a run/),
    });
  });

  test("are not merged over a run that was written after the merge was checked", async () => {
    const folders = await shards(2);
    const out = join(await temporaryFolder(), "all");
    const [first, second] = [await planMerge(out, folders), await planMerge(out, folders)];
    await first.write();
    await rm(join(out, "ITA-ENG.safetensors"));
    await expect(second.write()).rejects.toMatchObject({ code: "E_BAD_RUN", message: expect.stringMatching(/already holds a run/) });
    expect((await readdir(out)).sort()).toEqual(["results.jsonl", "run.json"]);
  });

  test.each([
    ["replaced", async (path: string) => writeFile(path, (await readFile(path, "utf8")).replace('"length"', '"failed"'))], // as many bytes
    ["cut short", (path: string) => truncate(path, 10)], ["removed", (path: string) => rm(path)],
  ])("that were %s after the merge was checked are refused, and no run is written", async (_, change) => {
    const folders = await shards(2);
    const out = join(await temporaryFolder(), "all");
    const merge = await planMerge(out, folders);
    await change(resultsIn(folders[1]!));
    await expect(merge.write()).rejects.toMatchObject({ code: "E_BAD_RUN", message: expect.stringMatching(/part-1 (has changed|cannot)/) });
    expect(await readdir(out)).toEqual(["ITA-ENG.safetensors"]);
  });

  test("that cannot be read back once they are merged leave no results, and the next try succeeds", async () => {
    const folders = await shards(2);
    const out = join(await temporaryFolder(), "all");
    const path = resultsIn(folders[1]!);
    const good = await readFile(path);
    const put = async (bytes: Buffer): Promise<void> => {
      await writeFile(path, bytes);
      await utimes(path, 1e9, 1e9); // so that the change is not seen
    };
    await put(good);
    const merge = await planMerge(out, folders);
    await put(Buffer.from(good.toString("latin1").replace('"prompt"', '"prompz"'), "latin1"));
    await expect(merge.write()).rejects.toMatchObject({ code: "E_BAD_RUN", message: expect.stringMatching(/cannot be read back/) });
    expect(await readdir(out)).toEqual(["ITA-ENG.safetensors"]);
    await put(good);
    expect(await mergeRuns(out, folders)).toMatchObject({ isComplete: true });
  });

  test("that do not belong together are refused, and nothing is written", async () => {
    const folders = await shards(3);
    const out = join(await temporaryFolder(), "all");
    const refused = async (which: readonly string[], message: RegExp): Promise<void> => {
      await expect(mergeRuns(out, which)).rejects.toMatchObject({ code: "E_BAD_RUN", message: expect.stringMatching(message) });
      await expect(readdir(out)).rejects.toThrow("ENOENT");
    };
    await refused([folders[0]!, folders[2]!], /missing shard 1 of 3/);
    await refused([...folders, folders[1]!], /are the same shard, 1\/3/);
    const other = await shards(3, () => ({ config: { alphas: [2], positive: "ITA" } }));
    await refused([folders[0]!, other[1]!, folders[2]!], /different runs: config\.alphas/);
    await refused([folders[0]!, (await shards(2))[1]!, folders[2]!], /3 shards there, 2 here/);
    await refused([(await wholeRun()).folder], /is not a shard/);
    await writeFile(join(folders[1]!, "ITA-ENG.safetensors"), Buffer.from([1, 2, 4]));
    await refused(folders, /different vectors \(ITA-ENG\.safetensors\); extract it once/);
    await truncate(resultsIn(folders[1]!), 10);
    await refused(folders, /part-1 is not complete/);
  });

  test.each([
    "../secret", "/etc/hostname", "..", ".", "", "a/b.safetensors", "..\\secret", "a\0b", "run.json", "results.jsonl", "Run.JSON",
    "eval-language.jsonl", "run.lock",
  ])("with a vector called %j in their run.json are refused, and nothing is written", async (file) => {
    const folders = await shards(2);
    await writeFile(join(folders[0]!, "..", "secret"), "secret");
    for (const folder of folders) {
      const path = join(folder, "run.json");
      const run = JSON.parse(await readFile(path, "utf8")) as RunFile;
      await writeFile(path, JSON.stringify({ ...run, vectors: [{ ...run.vectors[0], file }] }));
    }
    const out = join(await temporaryFolder(), "all");
    await expect(mergeRuns(out, folders)).rejects.toMatchObject({
      code: "E_BAD_RUN", message: expect.stringMatching(/run\.json.*vectors\.0\.file/),
    });
    await expect(readdir(out)).rejects.toThrow("ENOENT");
  });

  test("whose vector is a link to another file are refused", async () => {
    const folders = await shards(2);
    for (const folder of folders) {
      await rm(join(folder, "ITA-ENG.safetensors"));
      await symlink(join(folder, "results.jsonl"), join(folder, "ITA-ENG.safetensors"));
    }
    const out = join(await temporaryFolder(), "all");
    await expect(mergeRuns(out, folders)).rejects.toMatchObject({ code: "E_BAD_RUN", message: expect.stringMatching(/is not a file/) });
    await expect(readdir(out)).rejects.toThrow("ENOENT");
  });

  test("may use a vector that lies elsewhere on each machine, if it is the same", async () => {
    const given = (index: number): Partial<RunFile> => ({
      vectors: [{ property: "ITA", file: `/mnt/${index}/v.safetensors`, hash: "sha256:5" }],
    });
    await expect(mergeRuns(join(await temporaryFolder(), "all"), await shards(2, given))).resolves.toMatchObject({ isComplete: true });
    const another = (index: number): Partial<RunFile> => ({
      vectors: [{ property: "ITA", file: "v.safetensors", hash: `sha256:${index}` }],
    });
    await expect(mergeRuns(join(await temporaryFolder(), "all"), await shards(2, another))).rejects.toMatchObject({
      code: "E_BAD_RUN", message: expect.stringMatching(/vectors/),
    });
  });
});

const SHARD: Shard = { index: 0, count: 1 };
test("one shard of one is the whole run", () => expect(waves(aRun({ shard: SHARD }))).toEqual(waves(aRun())));
