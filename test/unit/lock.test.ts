import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile, readdir, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { lockFile } from "../../lib/formats/lock.js";
import { smallDisk } from "../support/small-disk.js";
import { temporaryFolder } from "../support/io-helpers.js";

const LIBRARY = new URL("../../lib/formats/lock.js", import.meta.url).href;
const linuxTest = process.platform === "linux" ? test : test.skip;

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  file = join(folder, "model.gguf");
});

const holders: ChildProcess[] = [];
afterEach(() => {
  for (const child of holders.splice(0)) child.kill("SIGKILL");
});

/** A process that holds the lock until it is killed, and what its lock says. */
async function holder(): Promise<{ content: string; pause(): void; kill(): Promise<void> }> {
  const script = `const { lockFile } = await import(${JSON.stringify(LIBRARY)}); await lockFile(${JSON.stringify(file)}, "works"); setInterval(() => {}, 1000); console.log("held");`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: ["ignore", "pipe", "inherit"] });
  holders.push(child);
  await once(child.stdout, "data");
  return {
    content: await readFile(`${file}.lock`, "utf8"),
    pause: () => { child.kill("SIGSTOP"); },
    kill: async () => {
      child.kill("SIGKILL");
      await once(child, "close");
    },
  };
}

async function touchedSecondsAgo(seconds: number): Promise<void> {
  const then = new Date(Date.now() - 1000 * seconds);
  await utimes(`${file}.lock`, then, then);
}

/** Whether the lock can be taken; it is given back at once. */
async function isFree(): Promise<boolean> {
  const taken = await lockFile(file, "works").catch((error: { code: string }) => error.code);
  if (typeof taken === "string") expect(taken).toBe("E_BUSY");
  else await taken.release();
  return typeof taken !== "string";
}

describe("a lock", () => {
  test("is one holder's at a time, and leaves nothing", async () => {
    const lock = await lockFile(file, "works");
    expect(await isFree()).toBe(false);
    await lock.assertHeld();
    await lock.release();
    expect(await readdir(folder)).toEqual([]);
  });

  test("is taken by one of many that try at once", async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => lockFile(file, "works")));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await readdir(folder)).toEqual(["model.gguf.lock"]);
  });

  linuxTest("of a killed process is taken over at once", async () => {
    const other = await holder();
    expect(await isFree()).toBe(false);
    await other.kill();
    expect(await isFree()).toBe(true);
  });

  linuxTest("of a living process of this machine stays its own, however long it stands still", async () => {
    const other = await holder();
    other.pause();
    await touchedSecondsAgo(3600);
    expect(await isFree()).toBe(false);
    await other.kill();
  });

  linuxTest("of a container with this host name, whose pid means nothing here, is its own while it is touched", async () => {
    const other = await holder();
    await other.kill(); // its pid stands for one that is seen in the other container only
    const [pid, host, scope, ...rest] = other.content.split(" ");
    expect(host).toBe(hostname());
    await writeFile(`${file}.lock`, [pid, host, scope!.replace(/./g, (digit) => (digit === "a" ? "b" : "a")), ...rest].join(" "));
    expect(await isFree()).toBe(false);
    await touchedSecondsAgo(30);
    expect(await isFree()).toBe(false);
    await touchedSecondsAgo(90);
    expect(await isFree()).toBe(true);
  });

  linuxTest("of an earlier process with the pid of a living one is taken over", async () => {
    const lock = await lockFile(file, "works");
    const [pid, host, scope, started, token] = (await readFile(`${file}.lock`, "utf8")).split(" ");
    await lock.release();
    await writeFile(`${file}.lock`, [pid, host, scope, Number(started) - 1, token].join(" "));
    expect(await isFree()).toBe(true);
  });

  test("that cannot be created names the reason", async () => {
    await writeFile(join(folder, "file"), "");
    await expect(lockFile(join(folder, "file", "x"), "works")).rejects.toMatchObject({ code: "E_WRITE" });
    await expect(lockFile(join(folder, "n".repeat(255)), "works")).rejects.toMatchObject({
      code: "E_WRITE", message: expect.stringContaining("its name is too long"),
    });
    await expect(lockFile(join(folder, "a\0b"), "works")).rejects.toMatchObject({ code: "E_WRITE" });
  });
});

test("on a file system without hard links, a lock is taken, is one holder's, and is released", () => {
  const codes = ["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EMLINK", "EISDIR"];
  const script = `import fs from "node:fs/promises";
    import { syncBuiltinESMExports } from "node:module";
    let code;
    fs.link = async () => { throw Object.assign(new Error(code), { code }); };
    syncBuiltinESMExports();
    const { lockFile } = await import(${JSON.stringify(LIBRARY)});
    const taken = () => lockFile(${JSON.stringify(file)}, "works").catch((error) => error.code);
    for (code of ${JSON.stringify([...codes, "EIO"])}) {
      const [lock, second] = [await taken(), await taken()];
      await lock.assertHeld?.();
      await lock.release?.();
      console.log(code, typeof lock === "string" ? lock : "held", second, (await fs.readdir(${JSON.stringify(folder)})).length);
    }`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(stdout.trim().split("\n")).toEqual([...codes.map((code) => `${code} held E_BUSY 0`), "EIO E_WRITE E_WRITE 0"]);
});

describe("on a full disk", () => {
  const disk = smallDisk();
  const diskTest = disk ? test : test.skip;
  afterAll(() => disk?.unmount());

  diskTest("no empty lock is left, and the next one can be taken", async () => {
    const target = join(disk!.folder, "model.gguf");
    await writeFile(join(disk!.folder, "filler"), "x".repeat(200_000)).catch(() => undefined);
    await expect(lockFile(target, "works")).rejects.toMatchObject({
      code: "E_WRITE", message: expect.stringContaining("the disk is full"),
    });
    expect(await readdir(disk!.folder)).toEqual(["filler"]);
    await writeFile(join(disk!.folder, "filler"), "");
    await (await lockFile(target, "works")).release();
    expect(await readdir(disk!.folder)).toEqual(["filler"]);
  });
});
