import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterEach } from "@jest/globals";
import { ggufHeader } from "./gguf-writer.js";

export interface LocalServer {
  url: string;
  host: string;
  requests: IncomingMessage[];
  /** Replaceable while the server runs. */
  handler: RequestListener;
}

const cleanups: (() => Promise<unknown>)[] = [];
const savedEnv = { ...process.env };

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  for (const name of Object.keys(process.env)) if (!(name in savedEnv)) delete process.env[name];
  Object.assign(process.env, savedEnv);
});

/** A folder that is removed after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "llama-steer-"));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** An HTTP server on the loopback interface that is closed after the test. */
export async function localServer(handler: RequestListener = (_, response) => response.writeHead(404).end()): Promise<LocalServer> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    local.handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const local: LocalServer = { url: `http://${host}`, host, requests, handler };
  cleanups.push(() => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }));
  return local;
}

/** An address on which nobody listens. */
export async function deadUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

/** Serves `body` like a storage host: Range and If-Range honoured. */
export function serveFile(body: Buffer, etag = '"v1"'): RequestListener {
  return (request, response) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const resumes = start > 0 && request.headers["if-range"] === etag;
    if (!resumes) {
      response.writeHead(200, { etag, "content-length": body.length }).end(body);
      return;
    }
    const rest = body.subarray(start);
    const range = `bytes ${start}-${body.length - 1}/${body.length}`;
    response.writeHead(206, { etag, "content-length": rest.length, "content-range": range }).end(rest);
  };
}

/** Sends the first `count` bytes of `body` and then `after`, e.g. nothing more, or the end of the connection. */
export function serveBeginning(body: Buffer, count: number, after: (response: ServerResponse) => void, etag = '"v1"'): RequestListener {
  return (_, response) => {
    response.writeHead(200, { etag, "content-length": body.length });
    response.write(body.subarray(0, count), () => after(response));
  };
}

/** Bytes that repeat late, so that a wrong offset shows. */
export function someBytes(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** A whole GGUF file of this many bytes, or the part of a split model: one tensor of `someBytes`. */
export function ggufOfSize(length: number, seed = 1, split?: { no: number; count: number }): Buffer {
  const metadata = split ? { "split.no": split.no, "split.count": split.count } : {};
  const headerOf = (rows: number): Buffer => ggufHeader(metadata, [{ name: "t", shape: [rows], type: "I8" }]);
  const rows = length - headerOf(0).length;
  return Buffer.concat([headerOf(rows), someBytes(rows, seed)]);
}

export function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A zip archive with one stored (uncompressed) member. */
export function zipOf(member: string, content: Buffer): Buffer {
  const name = Buffer.from(member);
  const shared = Buffer.alloc(26);
  shared.writeUInt16LE(20, 0);
  shared.writeUInt32LE(crc32(content), 10);
  shared.writeUInt32LE(content.length, 14);
  shared.writeUInt32LE(content.length, 18);
  shared.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from("PK\x03\x04"), shared, name, content]);
  const central = Buffer.concat([Buffer.from("PK\x01\x02\x14\x00"), shared, Buffer.alloc(14), name]);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06");
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  return Buffer.concat([local, central, end]);
}

/** Wait, at most 1 s, until `condition` holds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; waited < 1000; waited += 10) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("condition did not hold within 1 s");
}
