import { spawn } from "node:child_process";
import { readFile, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, test } from "@jest/globals";
import { downloadFile } from "../../lib/models/download.js";
import {
  deadUrl, localServer, serveBeginning, serveFile, sha256, someBytes, temporaryFolder, until, type LocalServer,
} from "../support/io-helpers.js";

const body = someBytes(300_000);
const half = body.length / 2;
const expected = { size: body.length, sha256: sha256(body) };

let folder: string;
let target: string;
let server: LocalServer;
let url: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  target = join(folder, "model.gguf");
  server = await localServer(serveFile(body));
  url = `${server.url}/model.gguf`;
});

/** Leave the state of a download that was stopped half-way. */
async function interruptedDownload(etag = '"v1"'): Promise<void> {
  const abort = new AbortController();
  const resumable = server.handler;
  server.handler = serveBeginning(body, half, () => {}, etag);
  const onProgress = (done: number) => { if (done === half) abort.abort(); };
  await expect(downloadFile(url, target, { expected, signal: abort.signal, onProgress })).rejects.toMatchObject({ code: "E_ABORTED" });
  expect((await readdir(folder)).sort()).toEqual(["model.gguf.partial", "model.gguf.partial.etag"]);
  server.handler = resumable;
  server.requests.length = 0;
}

async function expectComplete(content = body): Promise<void> {
  expect(await readdir(folder)).toEqual(["model.gguf"]);
  expect((await readFile(target)).equals(content)).toBe(true);
}

test("downloads, reports bytes, and leaves nothing but the file", async () => {
  const progress: (number | undefined)[][] = [];
  await downloadFile(url, target, { expected, onProgress: (done, total) => progress.push([done, total]) });
  await expectComplete();
  expect(progress[0]).toEqual([0, body.length]);
  expect(progress.at(-1)).toEqual([body.length, body.length]);
});

test("an interrupted download is resumed", async () => {
  await interruptedDownload();
  const seen: number[] = [];
  await downloadFile(url, target, { expected, onProgress: (done) => seen.push(done) });
  await expectComplete();
  expect(server.requests[0]?.headers).toMatchObject({ range: `bytes=${half}-`, "if-range": '"v1"' });
  expect(seen[0]).toBe(half);
});

test("a cut connection is resumed at once", async () => {
  const resumable = server.handler;
  server.handler = serveBeginning(body, half, (response) => {
    server.handler = resumable;
    setTimeout(() => response.destroy(), 30);
  });
  await downloadFile(url, target, { expected });
  await expectComplete();
  expect(server.requests).toHaveLength(2);
  expect(server.requests[1]?.headers.range).toBe(`bytes=${half}-`);
});

test("a connection that is cut again without a new byte is an error; the partial file stays", async () => {
  server.handler = (request, response) => {
    if (request.headers.range) response.destroy();
    else serveBeginning(body, half, () => setTimeout(() => response.destroy(), 30))(request, response);
  };
  await expect(downloadFile(url, target, { expected })).rejects.toMatchObject({ code: "E_DOWNLOAD" });
  expect((await readdir(folder)).sort()).toEqual(["model.gguf.partial", "model.gguf.partial.etag"]);
});

test("a process that is killed half-way leaves no final file, and the next one resumes", async () => {
  const resumable = server.handler;
  server.handler = serveBeginning(body, half, () => {});
  const library = new URL("../../lib/models/download.js", import.meta.url).href;
  const script = `import { downloadFile } from ${JSON.stringify(library)}; await downloadFile(${JSON.stringify(url)}, ${JSON.stringify(target)});`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: "ignore" });
  const closed = new Promise((resolve) => child.on("close", resolve));
  await until(() => stat(`${target}.partial`).then((found) => found.size === half, () => false));
  child.kill("SIGKILL");
  await closed;
  expect(await readdir(folder)).not.toContain("model.gguf");
  server.handler = resumable;
  await downloadFile(url, target, { expected });
  await expectComplete();
  expect(server.requests.at(-1)?.headers.range).toBe(`bytes=${half}-`);
});

test("a server that ignores Range restarts the file", async () => {
  await interruptedDownload();
  server.handler = (_, response) => response.writeHead(200, { "content-length": body.length }).end(body);
  await downloadFile(url, target, { expected });
  await expectComplete();
});

test("another version on the server restarts the file, whether or not it honours If-Range", async () => {
  const changed = someBytes(body.length, 2);
  await interruptedDownload();
  server.handler = serveFile(changed, '"v2"');
  await downloadFile(url, target);
  await expectComplete(changed);

  await interruptedDownloadOf(changed);
  await downloadFile(url, target);
  await expectComplete(body);
});

/** The partial file is of `content`, "v2"; the server answers any range with `body`, "v1". */
async function interruptedDownloadOf(content: Buffer): Promise<void> {
  await writeFile(`${target}.partial`, content.subarray(0, half));
  await writeFile(`${target}.partial.etag`, JSON.stringify({ url, etag: '"v2"' }));
  server.handler = (request, response) => {
    if (request.headers.range) request.headers["if-range"] = '"v1"';
    serveFile(body)(request, response);
  };
}

test("a partial file of unknown origin, or longer than the file, is not resumed", async () => {
  await writeFile(`${target}.partial`, "something else");
  await downloadFile(url, target, { expected });
  await expectComplete();
  await writeFile(`${target}.partial`, someBytes(body.length + 1));
  await writeFile(`${target}.partial.etag`, JSON.stringify({ url, etag: '"v1"' }));
  await downloadFile(url, target, { expected });
  await expectComplete();
});

test("a complete partial file is only verified", async () => {
  await writeFile(`${target}.partial`, body);
  await writeFile(`${target}.partial.etag`, JSON.stringify({ url, etag: '"v1"' }));
  await downloadFile(url, target, { expected });
  await expectComplete();
  expect(server.requests).toHaveLength(0);
});

test("a complete partial file of unknown size is recognised by the answer 416", async () => {
  await writeFile(`${target}.partial`, body);
  await writeFile(`${target}.partial.etag`, JSON.stringify({ url, etag: '"v1"' }));
  server.handler = (_, response) => response.writeHead(416, { "content-range": `bytes */${body.length}` }).end();
  await downloadFile(url, target);
  await expectComplete();
});

test("a file with the wrong hash is deleted, and both hashes are told", async () => {
  server.handler = serveFile(someBytes(body.length, 3));
  await expect(downloadFile(url, target, { expected })).rejects.toMatchObject({
    code: "E_DOWNLOAD",
    message: `wrong SHA-256: expected ${expected.sha256}, got ${sha256(someBytes(body.length, 3))}; the file was deleted`,
  });
  expect(await readdir(folder)).toEqual([]);
});

test("a file of another size is refused before a byte is written", async () => {
  server.handler = serveFile(body.subarray(1));
  await expect(downloadFile(url, target, { expected })).rejects.toThrow(
    `${server.host} offers a file of ${body.length - 1} bytes; expected ${body.length}`);
  expect(await readdir(folder)).toEqual([]);
});

test("a body longer than expected is refused", async () => {
  server.handler = (_, response) => {
    response.write(body);
    response.end("more");
  };
  await expect(downloadFile(url, target, { expected })).rejects.toThrow(`sent more than the expected ${body.length} bytes`);
  expect(await readdir(folder)).toEqual([]);
});

test("a body that ends early is refused", async () => {
  server.handler = (_, response) => {
    response.write(body.subarray(0, half));
    response.end();
  };
  await expect(downloadFile(url, target, { expected })).rejects.toThrow(`was cut (${half} of ${body.length} bytes)`);
  expect(await readdir(folder)).not.toContain("model.gguf");
});

test.each([
  ["before the answer", () => { server.handler = () => {}; }],
  ["in the body", () => { server.handler = serveBeginning(body, half, () => {}); }],
])("a stall %s is an error", async (_, stall) => {
  stall();
  await expect(downloadFile(url, target, { expected, stallMs: 100 })).rejects.toMatchObject({
    code: "E_DOWNLOAD", message: `no data from ${server.host} for 0.1 s`,
  });
});

test("a refusal and an unreachable host are errors that name the host", async () => {
  server.handler = (_, response) => response.writeHead(404).end();
  await expect(downloadFile(url, target)).rejects.toThrow(`${server.host} answered 404 Not Found`);
  const dead = await deadUrl();
  await expect(downloadFile(dead, target)).rejects.toThrow(`could not reach ${new URL(dead).host} (ECONNREFUSED)`);
});

test("an aborted signal stops the download before it begins", async () => {
  await expect(downloadFile(url, target, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "E_ABORTED" });
  expect(server.requests).toHaveLength(0);
});
