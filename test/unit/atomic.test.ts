import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, lstat, mkdir, readFile, readdir, readlink, stat, symlink, utimes, writeFile, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "@jest/globals";
import { assertWritable, writeAt, writeAtomic, writeFileAtomic } from "../../lib/formats/atomic.js";
import { saveActivations } from "../../lib/capture/activation-file.js";
import { smallDisk } from "../support/small-disk.js";
import { temporaryFolder } from "../support/io-helpers.js";

const LIBRARY = new URL("../../lib/formats/atomic.js", import.meta.url).href;
const posixTest = process.platform === "win32" ? test.skip : test;
const linuxTest = process.platform === "linux" ? test : test.skip;

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  path = join(folder, "out.txt");
});

describe("a file that is written whole", () => {
  test("by many writers at once is one of theirs, and none of them fails", async () => {
    const contents = Array.from({ length: 12 }, (_, i) => String.fromCharCode(65 + i).repeat(100_000 * (12 - i)));
    for (let round = 0; round < 5; round++) {
      await Promise.all(contents.map((content) => writeFileAtomic(path, content)));
      expect(contents).toContain(await readFile(path, "utf8"));
    }
    expect(await readdir(folder)).toEqual(["out.txt"]);
  });

  test("by two writers in pieces is one of theirs", async () => {
    const write = (piece: string) => writeAtomic(path, async (file) => {
      for (let i = 0; i < 20; i++) await file.writeFile(piece);
    });
    await Promise.all([write("a"), write("bb")]);
    expect(["a".repeat(20), "bb".repeat(20)]).toContain(await readFile(path, "utf8"));
  });

  test("stays as it was where writing fails, and nothing is left beside it", async () => {
    await writeFile(path, "old");
    await expect(writeAtomic(path, async (file) => {
      await file.writeFile("half");
      throw Object.assign(new Error("no space"), { code: "ENOSPC" });
    })).rejects.toMatchObject({ code: "E_WRITE", message: `cannot write ${path}: the disk is full` });
    expect(await readFile(path, "utf8")).toBe("old");
    expect(await readdir(folder)).toEqual(["out.txt"]);
  });

  posixTest("keeps its permissions", async () => {
    await writeFile(path, "secret", { mode: 0o600 });
    await writeFileAtomic(path, "another secret");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await chmod(path, 0o664);
    await writeFileAtomic(path, "shared");
    expect((await stat(path)).mode & 0o777).toBe(0o664);
  });

  posixTest("is written where a symbolic link leads, and the link stays", async () => {
    await mkdir(join(folder, "elsewhere"));
    await symlink(join("elsewhere", "real.txt"), path);
    for (const content of ["first", "second"]) {
      await writeFileAtomic(path, content);
      expect(await readFile(join(folder, "elsewhere", "real.txt"), "utf8")).toBe(content);
      expect(await readlink(path)).toBe(join("elsewhere", "real.txt"));
    }
  });

  posixTest("does not follow a link that someone put where its partial file may be", async () => {
    const victim = join(folder, "victim");
    await writeFile(victim, "precious");
    await symlink(victim, `${path}.${process.pid}.partial`);
    await writeFileAtomic(path, "content");
    expect(await readFile(victim, "utf8")).toBe("precious");
    expect((await lstat(path)).isFile()).toBe(true);
  });

  test("may have the longest name that the file system takes", async () => {
    const longest = join(folder, "n".repeat(255));
    await writeFileAtomic(longest, "content");
    expect(await readFile(longest, "utf8")).toBe("content");
  });

  test.each([
    ["too long a name", "n".repeat(256), "its name is too long"], ["a NUL in its name", "a\0b", "its name contains a NUL character"],
  ])("with %s is refused", async (_, name, reason) => {
    const wrong = join(folder, name);
    const refusal = { code: "E_WRITE", message: `cannot write ${wrong}: ${reason}` };
    await expect(writeFileAtomic(wrong, "content")).rejects.toMatchObject(refusal);
    await expect(assertWritable(wrong)).rejects.toMatchObject(refusal);
    expect(await readdir(folder)).toEqual([]);
  });
});

test("bytes at a position are all written, though a call of the system writes less", async () => {
  const target = Buffer.alloc(12, ".");
  const write = async (bytes: Uint8Array, offset: number, length: number, position: number) => {
    const bytesWritten = Math.min(3, length); // as Linux does at 2 GiB, or on a disk that becomes full
    target.set(bytes.subarray(offset, offset + bytesWritten), position);
    return { bytesWritten };
  };
  await writeAt({ write } as unknown as FileHandle, Buffer.from("abcdefgh"), 2);
  expect(target.toString()).toBe("..abcdefgh..");
});

describe("partial files", () => {
  /** The name of the partial file of a process that was killed while it wrote to the folder. */
  async function killedWriter(): Promise<string> {
    const script = `const { writeAtomic } = await import(${JSON.stringify(LIBRARY)});
      setInterval(() => {}, 1000);
      await writeAtomic(${JSON.stringify(
        join(folder, "other.txt"),
      )}, async (file) => { await file.writeFile("half"); console.log("half"); await new Promise(() => {}); });`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "close");
    return (await readdir(folder)).find((name) => name.endsWith(".partial"))!;
  }

  linuxTest("of a process that was killed are removed by the next one that writes there", async () => {
    expect(await killedWriter()).toBeDefined();
    await writeFileAtomic(path, "content");
    expect(await readdir(folder)).toEqual(["out.txt"]);
  });

  linuxTest("of a living process, and of another machine for a day, are left alone", async () => {
    const foreign = (await killedWriter()).replace(/^(\.llama-steer-)[0-9a-f]+/, "$1abcdefabcdef");
    await writeFile(join(folder, foreign), "half");
    let during: string[] = [];
    await writeAtomic(path, async () => {
      await writeFileAtomic(join(folder, "another.txt"), "content");
      during = await readdir(folder);
    });
    expect(during.filter((name) => name.endsWith(".partial"))).toHaveLength(2); // the foreign one and the one being written
    expect((await readdir(folder)).sort()).toEqual([foreign, "another.txt", "out.txt"]);
    const old = new Date(Date.now() - 25 * 3_600_000);
    await utimes(join(folder, foreign), old, old);
    await writeFileAtomic(path, "content");
    expect((await readdir(folder)).sort()).toEqual(["another.txt", "out.txt"]);
  });
});

// Never by the names of the real devices: code that is wrong would replace them.
describe("an output that is no file", () => {
  /** What a process prints that writes "content" to `out` by `write`. */
  function printed(out: string, before = "", env: NodeJS.ProcessEnv = {}): string {
    const script = `const { writeFileAtomic, assertWritable } = await import(${JSON.stringify(LIBRARY)});
      process.stdout.write(${JSON.stringify(before)}); await assertWritable(${JSON.stringify(out)}); await writeFileAtomic(${JSON.stringify(out)}, "content"); process.stdout.write("|after");`;
    const child = spawnSync(
      process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8", env: { ...process.env, ...env } },
    );
    expect(child.stderr).toBe("");
    return child.stdout;
  }

  posixTest("is printed to as standard output", () => {
    expect(printed("/dev/fd/1", "before|")).toBe("before|content|after");
  });

  posixTest("is printed to through links, as /dev/stdout is one, which stay", async () => {
    await symlink("/dev/fd/1", path);
    await symlink(path, join(folder, "link"));
    expect(printed(join(folder, "link"))).toBe("content|after");
    expect(await readlink(path)).toBe("/dev/fd/1");
  });

  posixTest("needs no temporary folder, unless it is written in pieces, which is known before", async () => {
    await writeFile(join(folder, "file"), "");
    const TMPDIR = join(folder, "file", "none");
    expect(printed("/dev/fd/1", "before|", { TMPDIR })).toBe("before|content|after");
    const script = `const { assertWritable, writeAtomic } = await import(${JSON.stringify(LIBRARY)});
      const told = (work) => work.then(() => "done", (error) => error.code + " " + error.message).then(console.error);
      await told(assertWritable("/dev/fd/1", [], { inPieces: true }));
      await told(assertWritable("/dev/fd/1"));
      await told(writeAtomic("/dev/fd/1", async (file) => { console.error(((await file.stat()).mode & 0o777).toString(8)); await file.writeFile("pieces"); }));`;
    const run = (env: NodeJS.ProcessEnv) => spawnSync(
      process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8", env: { ...process.env, ...env } },
    );
    const refused = run({ TMPDIR });
    expect(refused.stdout).toBe("");
    const refusal = `E_WRITE cannot write ${TMPDIR}: a part of its path is a file`;
    expect(refused.stderr.trim().split("\n")).toEqual([refusal, "done", refusal]);
    const { stdout, stderr } = run({ TMPDIR: folder });
    expect({ stdout, stderr }).toEqual({ stdout: "pieces", stderr: "done\ndone\n600\ndone\n" });
    expect(await readdir(folder)).toEqual(["file"]);
  });

  posixTest("keeps what a shell appends to", async () => {
    await writeFile(path, "kept|");
    const script = `const { writeFileAtomic } = await import(${JSON.stringify(LIBRARY)}); await writeFileAtomic("/dev/fd/1", "content|");`;
    spawnSync("sh", ["-c", `"$0" --input-type=module --eval "$1" >> "$2"; echo end >> "$2"`, process.execPath, script, path]);
    expect(await readFile(path, "utf8")).toBe("kept|content|end\n");
  });

  posixTest("is written to as a named pipe, whole and in order, and stays one", async () => {
    const pipe = join(folder, "pipe");
    spawnSync("mkfifo", [pipe]);
    const reader = spawn("cat", [pipe], { stdio: ["ignore", "pipe", "inherit"] });
    const closed = once(reader, "close");
    const tooLong = setTimeout(() => reader.kill(), 5000);
    const chunks: Buffer[] = [];
    reader.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    const record = { layers: [0], nSteps: 1, width: 4, data: Float32Array.of(1, 2, 3, 4) };
    const records = async function* () { yield record; };
    const model = { architecture: "a", nLayer: 1, nEmbd: 4, nHead: 1, tokenizerHash: "", fileHash: "", quantisation: "" };
    const source = { site: "resid_post" as const, nPrompts: 1, model };
    await saveActivations(path, records(), source);
    await saveActivations(pipe, records(), source);
    await closed;
    clearTimeout(tooLong);
    expect(Buffer.concat(chunks).equals(await readFile(path))).toBe(true);
    expect((await lstat(pipe)).isFIFO()).toBe(true);
  });

  linuxTest("is written to as a device, whose errors are told", async () => {
    const [none, full] = [join(folder, "null"), join(folder, "full")];
    const made = spawnSync("sh", ["-c", `mknod "$0" c 1 3 && mknod "$1" c 1 7 && echo x > "$0"`, none, full], { encoding: "utf8" });
    if (made.status !== 0) return void process.stderr.write(`no device can be made here (${made.stderr.trim()}): they are not tried\n`);
    await assertWritable(none);
    await writeFileAtomic(none, "content");
    expect((await lstat(none)).isCharacterDevice()).toBe(true);
    await expect(writeFileAtomic(full, "content")).rejects.toMatchObject({
      code: "E_WRITE", message: `cannot write ${full}: the disk is full`,
    });
    expect((await lstat(full)).isCharacterDevice()).toBe(true);
    expect((await readdir(tmpdir())).filter((name) => name.startsWith(".llama-steer-") && name.includes(`-${process.pid}-`))).toEqual([]);
  });

  test("is refused as a folder", async () => {
    await expect(writeFileAtomic(folder, "content")).rejects.toMatchObject({
      code: "E_WRITE", message: `cannot write ${folder}: it is a folder`,
    });
    await expect(assertWritable(folder)).rejects.toMatchObject({ code: "E_WRITE" });
  });

  posixTest("is refused as a link to itself", async () => {
    await symlink(basename(path), path);
    await expect(writeFileAtomic(path, "content")).rejects.toMatchObject({
      code: "E_WRITE", message: `cannot write ${path}: its symbolic links form a loop`,
    });
  });
});

describe("on a full disk", () => {
  const disk = smallDisk();
  const diskTest = disk ? test : test.skip;
  afterAll(() => disk?.unmount());

  diskTest("the old file stays, and no partial file", async () => {
    const target = join(disk!.folder, "out.txt");
    await writeFileAtomic(target, "old");
    await expect(writeFileAtomic(target, "x".repeat(200_000))).rejects.toMatchObject({
      code: "E_WRITE", message: `cannot write ${target}: the disk is full`,
    });
    expect(await readFile(target, "utf8")).toBe("old");
    expect(await readdir(disk!.folder)).toEqual(["out.txt"]);
  });
});

test("the outermost folder that a destination needs is named, and not created yet", async () => {
  const folder = await temporaryFolder();
  const path = join(folder, "a", "b", "x.safetensors");
  expect(await assertWritable(path)).toBe(join(folder, "a"));
  expect(await assertWritable(relative("", path))).toBe(join(folder, "a"));
  expect(await readdir(folder)).toEqual([]);
  await writeFileAtomic(path, "content");
  expect(await assertWritable(path)).toBeUndefined();
  expect(await assertWritable(join(folder, "a", "c", "x"))).toBe(join(folder, "a", "c"));
  expect(await readdir(join(folder, "a"))).toEqual(["b"]);
});
