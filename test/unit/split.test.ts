import { readFile, readdir, rm, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { findPullable, pullModel, resolveModel } from "../../lib/models/pull.js";
import { isInstalled } from "../../lib/models/registry.js";
import { fileFingerprint } from "../../lib/engine/fingerprint.js";
import type { ModelInfo } from "../../lib/engine/model-info.js";
import {
  ggufOfSize, localServer, serveBeginning, serveFile, sha256, someBytes, temporaryFolder, type LocalServer,
} from "../support/io-helpers.js";

const NAMES = ["m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"];

/** The parts of a model; another seed, other weights. */
function parts(seeds: readonly number[] = [1, 2, 3]): Buffer[] {
  return seeds.map((seed, no) => ggufOfSize(100_000 * (no + 1), seed, { no, count: seeds.length }));
}

describe("the fingerprint", () => {
  async function hashOf(files: Record<string, Buffer>): Promise<string> {
    const folder = await temporaryFolder();
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
    const info = {
      path: join(folder, Object.keys(files)[0]!), architecture: "a", nLayer: 1, nEmbd: 1, nHead: 1, tokenizerHash: "", quantisation: "",
    };
    return (await fileFingerprint(info as ModelInfo)).fileHash;
  }
  const hashOfParts = (seeds: number[]) => hashOf(Object.fromEntries(parts(seeds).map((bytes, no) => [NAMES[no]!, bytes])));

  test("of a split model depends on every part", async () => {
    const known = await hashOfParts([1, 2, 3]);
    expect(await hashOfParts([1, 2, 3])).toBe(known);
    const others = await Promise.all([[9, 2, 3], [1, 9, 3], [1, 2, 9], [1, 3, 2]].map(hashOfParts));
    expect(new Set([known, ...others]).size).toBe(5);
  });

  test("of a split model without one of its parts is refused, and the part is named", async () => {
    const [first, second] = parts();
    await expect(hashOf({ [NAMES[0]!]: first!, [NAMES[1]!]: second! })).rejects.toMatchObject({
      code: "E_NOT_FOUND", message: expect.stringContaining(NAMES[2]!),
    });
  });

  test("of a model in one file is what it always was, whatever the file is called", async () => {
    // Computed in Python: SHA-256 of the size in decimal, a line end, and 64 chunks of 64 KiB.
    const expected = "sha256-sampled:62b2a580faf0c88f173ccdfe46aefdfceb131808d073012022e2536f2d033fbc";
    const model = Buffer.concat([Buffer.from("GGUF\x03\0\0\0".padEnd(24, "\0"), "latin1"), someBytes(10_000_000)]);
    expect(await hashOf({ "m.gguf": model })).toBe(expected);
    expect(await hashOf({ "m-00001-of-00001.gguf": model })).toBe(expected);
    expect(await hashOf({ "m-00001-of-00003.gguf": model })).toBe(expected); // its metadata know of no other part
  });
});

describe("a pull", () => {
  const ADDRESS = `hf:owner/repo/sub/${NAMES[0]}`;
  let hub: LocalServer;
  let files: Record<string, Buffer>;
  let folder: string;
  /** What the hub does with GET instead of sending the file, by name. */
  let failing: Record<string, RequestListener>;

  beforeEach(async () => {
    const home = await temporaryFolder();
    folder = join(home, "models", "hf", "owner", "repo", "main", "sub");
    files = Object.fromEntries(parts().map((bytes, no) => [NAMES[no]!, bytes]));
    failing = {};
    hub = await localServer((request, response) => {
      const name = /([^/]+)\?download=true$/.exec(request.url!)![1]!;
      const body = files[name];
      if (!body) return response.writeHead(404).end();
      if (request.method === "HEAD") return response.writeHead(
        200, { "x-linked-size": body.length, "x-linked-etag": `"${sha256(body)}"` },
      ).end();
      return (failing[name] ?? serveFile(body, `"${sha256(body)}"`))(request, response);
    });
    delete process.env["HF_TOKEN"];
    Object.assign(process.env, { LLAMA_STEER_HOME: home, HF_ENDPOINT: hub.url });
  });

  const refuse: RequestListener = (_, response) => response.writeHead(503).end();
  const fetched = (): string[] => hub.requests.filter(({ method }) => method === "GET").map(({ url }) => /([^/]+)\?/.exec(url!)![1]!);
  const landed = async (): Promise<string[]> => (await readdir(folder)).filter((name) => name.endsWith(".gguf")).sort();

  async function expectWhole(): Promise<void> {
    expect((await readdir(folder)).sort()).toEqual(NAMES);
    for (const name of NAMES) expect((await readFile(join(folder, name))).equals(files[name]!)).toBe(true);
    expect(isInstalled(findPullable(ADDRESS))).toBe(true);
  }

  test("by the first part's address brings all, once, and tells how far it is with all", async () => {
    const progress: (number | undefined)[][] = [];
    expect(await pullModel(findPullable(ADDRESS), { onProgress: (done, total) => progress.push([done, total]) })).toBe(
      join(folder, NAMES[0]!),
    );
    await expectWhole();
    expect(fetched()).toEqual(NAMES);
    expect(progress.map(([done]) => done)).toEqual(progress.map(([done]) => done!).sort((a, b) => a - b));
    expect(progress[0]).toEqual([0, 600_000]);
    expect(progress.at(-1)).toEqual([600_000, 600_000]);
    await pullModel(findPullable(ADDRESS));
    expect(await resolveModel(ADDRESS)).toBe(join(folder, NAMES[0]!));
    expect(fetched()).toEqual(NAMES);
  });

  test("that fails in one part lands nothing, and the next one fetches only the rest", async () => {
    failing[NAMES[1]!] = serveBeginning(
      files[NAMES[1]!]!, 70_000, (response) => setTimeout(() => response.destroy(), 30), `"${sha256(files[NAMES[1]!]!)}"`,
    );
    failing[NAMES[2]!] = refuse;
    await expect(pullModel(findPullable(ADDRESS), { stallMs: 2000 })).rejects.toMatchObject({ code: "E_DOWNLOAD" });
    expect(await landed()).toEqual([]);
    expect(isInstalled(findPullable(ADDRESS))).toBe(false);
    delete failing[NAMES[1]!];
    await expect(pullModel(findPullable(ADDRESS))).rejects.toMatchObject({
      code: "E_DOWNLOAD", message: expect.stringContaining(`${NAMES[2]}: ${hub.host} answered 503`),
    });
    expect(await landed()).toEqual([]);
    expect(hub.requests.filter(({ url }) => url!.includes(NAMES[1]!)).at(-1)?.headers.range).toBe("bytes=70000-");
    failing = {};
    hub.requests.length = 0;
    await pullModel(findPullable(ADDRESS));
    expect(fetched()).toEqual([NAMES[2]]);
    await expectWhole();
  });

  test("that is missing one part says which, before anything is fetched", async () => {
    delete files[NAMES[2]!];
    await expect(pullModel(findPullable(ADDRESS))).rejects.toMatchObject({
      code: "E_DOWNLOAD", message: expect.stringContaining(`${NAMES[2]}: ${hub.host} answered 404`),
    });
    expect(fetched()).toEqual([]);
  });

  test("that was killed while the parts landed fetches only what is missing", async () => {
    await pullModel(findPullable(ADDRESS));
    await rm(join(folder, NAMES[0]!)); // it lands last
    expect(isInstalled(findPullable(ADDRESS))).toBe(false);
    hub.requests.length = 0;
    await pullModel(findPullable(ADDRESS));
    expect(fetched()).toEqual([NAMES[0]]);
    await expectWhole();
  });

  test("that replaces a model keeps the old one until the new one is whole", async () => {
    await pullModel(findPullable(ADDRESS));
    const old = files;
    files = Object.fromEntries(parts([4, 5, 6]).map((bytes, no) => [NAMES[no]!, bytes]));
    failing[NAMES[2]!] = refuse;
    await expect(pullModel(findPullable(ADDRESS), { force: true })).rejects.toMatchObject({ code: "E_DOWNLOAD" });
    for (const name of NAMES) expect((await readFile(join(folder, name))).equals(old[name]!)).toBe(true);
    failing = {};
    await pullModel(findPullable(ADDRESS), { force: true });
    await expectWhole();
  });

  test("of parts that do not belong together is refused", async () => {
    files[NAMES[1]!] = ggufOfSize(1000, 1, { no: 2, count: 3 });
    await expect(pullModel(findPullable(ADDRESS))).rejects.toMatchObject({
      code: "E_DOWNLOAD", message: expect.stringContaining(`${NAMES[1]} is part 3 of 3 by its own header; expected part 2 of 3`),
    });
    expect(await landed()).toEqual([]);
  });

  test("by the address of another part is refused with the first one's", () => {
    expect(() => findPullable(`hf:owner/repo/sub/${NAMES[1]}`)).toThrow(expect.objectContaining({
      code: "E_BAD_ARGUMENT", message: expect.stringContaining(ADDRESS),
    }));
  });

  test("repeats where a part on disk is cut", async () => {
    await pullModel(findPullable(ADDRESS));
    await writeFile(join(folder, NAMES[2]!), files[NAMES[2]!]!.subarray(0, 250_000));
    expect(isInstalled(findPullable(ADDRESS))).toBe(false);
    await expect(resolveModel(ADDRESS)).rejects.toMatchObject({ code: "E_NOT_FOUND" });
    await pullModel(findPullable(ADDRESS));
    await expectWhole();
  });
});
