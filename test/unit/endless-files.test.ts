// Files that never end, and pipes that nobody writes to: in a process of its own, which must end by itself.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { results } from "../../lib/experiments.js";
import { encodeSafetensors } from "../../lib/formats/index.js";
import { SteeringVector } from "../../lib/index.js";
import { runCommand } from "../support/command.js";
import { temporaryFolder } from "../support/io-helpers.js";
import { aRun } from "../support/runs.js";

const posix = process.platform === "win32" ? describe.skip : describe;
const library = (path: string): string => JSON.stringify(new URL(`../../lib/${path}`, import.meta.url).href);
/** A process takes a second or two, on a busy machine ten. */
const LONGEST_MS = 60_000;
/** Reading /dev/zero takes a gigabyte within seconds. */
const WATCH = "setInterval(() => { if (process.memoryUsage().rss > 1e9) process.exit(9); }, 100).unref();";

/** What a program of the library prints; killed after a minute. */
async function printed(program: string): Promise<{ stdout: string; ending: number | string }> {
  const script = `${WATCH} const told = (work) => work.then(() => "done", ({ name, code, message }) => name + " " + code + ": " + message).then(console.log); ${program}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const timer = setTimeout(() => child.kill("SIGKILL"), LONGEST_MS);
  let stdout = "";
  child.stdout.on("data", (data: Buffer) => { stdout += data.toString(); });
  const [code, signal] = await once(child, "close") as [number | null, string | null];
  clearTimeout(timer);
  return { stdout, ending: signal ?? code! };
}

posix("a file that never ends", () => {
  /** A folder with links to /dev/zero and pipes, by all endings. */
  async function endless(folder: string): Promise<string> {
    for (const ending of ["safetensors", "gguf", "npy", "json", "txt", "lock"]) {
      await symlink("/dev/zero", join(folder, `zero.${ending}`));
      execFileSync("mkfifo", [join(folder, `pipe.${ending}`)]);
    }
    return folder;
  }

  test.each(["zero", "pipe"])("is refused by every reader of vectors and probes: %s", async (kind) => {
    const folder = await endless(await temporaryFolder());
    const [vector, json] = ["safetensors", "json"].map((ending) => JSON.stringify(join(folder, `${kind}.${ending}`)));
    const { stdout, ending } = await printed(`
      const { loadProbe, loadSteering, SteeringVector } = await import(${library("index.js")});
      const { hashOf } = await import(${library("experiment/single.js")});
      await told(SteeringVector.load(${vector}));
      await told(loadProbe(${vector}));
      await told(loadSteering(${vector} + ":fixed,1"));
      await told(loadSteering(${json}));
      await told(hashOf(${vector}));`);
    expect(stdout.trim().split("\n")).toEqual(["vector file", "probe file", "vector file", "", "vector file"].map((what) =>
      expect.stringMatching(new RegExp(`^SteeringError E_NOT_FOUND: ${what} ?\\S+ is not a regular file$`))));
    expect(ending).toBe(0);
  }, 2 * LONGEST_MS);

  test("is refused as a run's timings and as a lock, when the run begins", async () => {
    const folder = await endless(await temporaryFolder());
    await mkdir(join(folder, "run"));
    execFileSync("mkfifo", [join(folder, "run", "timings.jsonl")]);
    const { stdout, ending } = await printed(`
      const { RunStore } = await import(${library("results/index.js")});
      const { lockFile } = await import(${library("formats/index.js")});
      await told(RunStore.open(${JSON.stringify(join(folder, "run"))}, ${JSON.stringify(aRun())}));
      await told(lockFile(${JSON.stringify(join(folder, "pipe"))}, "works"));`);
    expect(stdout.trim().split("\n")).toEqual([
      expect.stringMatching(/^SteeringError E_NOT_FOUND: \S+timings\.jsonl is not a regular file$/),
      expect.stringMatching(/^SteeringError E_BUSY: /),
    ]);
    expect(ending).toBe(0);
  }, 2 * LONGEST_MS);

  test("is refused as an evaluation, even where that would be replaced", async () => {
    const run = join(await temporaryFolder(), "run");
    await results.write(run, aRun(), []);
    execFileSync("mkfifo", [join(run, "eval-language.jsonl")]);
    const { stdout, ending } = await printed(`
      const { evaluate } = await import(${library("experiments.js")});
      await told(evaluate.run(${JSON.stringify(run)}, [await evaluate.language({ wanted: "ita" })], { again: true }));`);
    expect(stdout.trim()).toMatch(/^SteeringError E_NOT_FOUND: \S+eval-language\.jsonl is not a regular file$/);
    expect(ending).toBe(0);
  }, 2 * LONGEST_MS);

  describe("on the command line", () => {
    let folder: string;
    beforeAll(async () => { folder = await endless(await mkdtemp(join(tmpdir(), "llama-steer-endless-"))); });
    afterAll(() => rm(folder, { recursive: true, force: true }));

    test.each(["zero", "pipe"].flatMap((kind) => [
      ["vector", "inspect", `${kind}.safetensors`],
      ["vector", "convert", `${kind}.safetensors`, "x.gguf"],
      ["vector", "convert", `${kind}.gguf`, "x.safetensors", "--model", "tiny"],
      ["vector", "convert", `${kind}.npy`, "x.safetensors", "--model", "tiny"],
      ["capture", "tiny", `${kind}.txt`, "--out", "x.safetensors"],
      ["evaluate", "text", "hello", "--safety", "tiny", "--safety-form", `${kind}.json`],
      ["inspect", `${kind}.json`],
    ].map((args) => [args.join(" "), args] as const)))("%s", async (_, args) => {
      const { code, stderr } = await runCommand(args, { cwd: folder, killAfter: 20_000 });
      expect(stderr).toMatch(
        args[0] === "inspect" ? /is empty; expected a GGUF file \[E_BAD_GGUF\]/ : /is not a regular file \[E_NOT_FOUND\]/,
      );
      expect(code).toBe(3);
    }, LONGEST_MS);
  });
});

describe("a file larger than a reader takes", () => {
  test("is not written: more data than Node.js reads at once, a longer header than is parsed", () => {
    const big = { byteLength: 2 ** 31 } as Float32Array; // never looked at
    expect(() => encodeSafetensors({ tensors: new Map([["layer.0", { shape: [2 ** 19, 2 ** 10], data: big }]]), metadata: {} })).toThrow(
      /file takes \d+ bytes; expected at most 2147483647/,
    );
    expect(() => encodeSafetensors({ tensors: new Map(), metadata: { provenance: "x".repeat(2 ** 23) } })).toThrow(
      /header takes \d+ bytes; expected at most 8388608/,
    );
  });

  test("is refused by its size before a byte of it is read", async () => {
    const path = join(await temporaryFolder(), "v.safetensors");
    await writeFile(path, "");
    await truncate(path, 3 * 2 ** 30);
    await expect(SteeringVector.load(path)).rejects.toMatchObject({
      code: "E_BAD_VECTOR", message: expect.stringMatching(/has 3221225472 bytes; expected at most 2147483647/),
    });
  });
});
