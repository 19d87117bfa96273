import { endianness } from "node:os";
import { shown, SteeringError } from "../errors.js";

/** A float32 tensor, row-major. */
export interface Tensor {
  shape: number[];
  data: Float32Array;
}

export interface SafetensorsFile {
  tensors: Map<string, Tensor>;
  metadata: Record<string, string>;
}

interface HeaderEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/**
 * Longest header: that of a vector file holds a draw of a few thousand numbers at most. To parse the worst header, V8 would take
 * a hundred times its size.
 */
const MAX_HEADER_BYTES = 2 ** 23;
/** Largest file in bytes: the most that Node.js reads at once. */
export const MAX_SAFETENSORS_BYTES = 2 ** 31 - 1;

/**
 * Encode a safetensors file: length of the header (u64), header (JSON, padded to 8 bytes), data. Throws E_WRITE if the file would
 * be too large to read back.
 */
export function encodeSafetensors({ tensors, metadata }: SafetensorsFile): Uint8Array {
  const shapes = new Map(Array.from(tensors, ([name, { shape }]) => [name, shape]));
  const header = encodeHeader(shapes, metadata);
  const size = header.length + Array.from(tensors.values()).reduce((sum, { data }) => sum + data.byteLength, 0);
  for (const [what, bytes, most] of [["header", header.length - 8, MAX_HEADER_BYTES], ["file", size, MAX_SAFETENSORS_BYTES]] as const) {
    if (bytes <= most) continue;
    throw new SteeringError("E_WRITE", `the safetensors ${what} takes ${bytes} bytes; expected at most ${most}`);
  }
  return Buffer.concat([header, ...Array.from(tensors.values(), ({ data }) => bytesOf(data))]);
}

/**
 * Encode everything before the data: length of the header (u64), header (JSON, padded with spaces to 8 bytes or to `size`).
 * Throws E_WRITE if it needs more than `size` bytes.
 */
export function encodeHeader(shapes: ReadonlyMap<string, readonly number[]>, metadata: Record<string, string>, size?: number): Buffer {
  assertLittleEndian();
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, shape] of shapes) {
    const end = offset + 4 * shape.reduce((product, extent) => product * extent, 1);
    header[name] = { dtype: "F32", shape: [...shape], data_offsets: [offset, end] } satisfies HeaderEntry;
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const bytes = Buffer.alloc(size ?? 8 + Math.ceil(json.length / 8) * 8, 0x20);
  if (8 + json.length > bytes.length) {
    throw new SteeringError("E_WRITE", `the safetensors header takes ${8 + json.length} bytes; expected at most ${bytes.length}`);
  }
  bytes.writeBigUInt64LE(BigInt(bytes.length - 8), 0);
  json.copy(bytes, 8);
  return bytes;
}

/** The values as bytes, without a copy. */
export function bytesOf(data: Float32Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Read a safetensors file of float32 tensors. Throws E_BAD_VECTOR, naming the first fault. */
export function decodeSafetensors(bytes: Uint8Array, name: string): SafetensorsFile {
  assertLittleEndian();
  const bad = (reason: string): SteeringError => new SteeringError("E_BAD_VECTOR", `${name} is not a complete safetensors file: ${reason}`);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < 8) throw bad(`it has ${buffer.length} bytes; expected at least 8`);
  const headerBytes = Number(buffer.readBigUInt64LE(0));
  if (headerBytes > MAX_HEADER_BYTES) throw bad("it does not begin with the length of a header");
  if (8 + headerBytes > buffer.length) throw bad("it ends inside its header");
  let header: unknown;
  try {
    header = JSON.parse(buffer.toString("utf8", 8, 8 + headerBytes));
  } catch (cause) {
    throw new SteeringError("E_BAD_VECTOR", `${name} is not a safetensors file: its header is not JSON`, { cause });
  }
  if (typeof header !== "object" || header === null || Array.isArray(header)) throw bad("its header is not a JSON object");
  const data = buffer.subarray(8 + headerBytes);
  const { __metadata__: metadata = {}, ...entries } = header as Record<string, unknown>;
  const tensors = new Map(Object.entries(entries).map(([key, entry]) => [key, readTensor(data, entry as HeaderEntry, key, bad)]));
  assertContiguous(Object.values(entries) as HeaderEntry[], data.length, bad);
  return { tensors, metadata: metadata as Record<string, string> };
}

/** The format allows neither holes nor overlaps nor bytes after the last tensor. */
function assertContiguous(entries: HeaderEntry[], nBytes: number, bad: (reason: string) => SteeringError): void {
  const ranges = entries.map((entry) => entry.data_offsets).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  let position = 0;
  for (const [begin, end] of ranges) {
    if (begin !== position) throw bad(`a tensor begins at byte ${begin} of the data; expected ${position}`);
    position = end;
  }
  if (position !== nBytes) throw bad(`it has ${nBytes - position} bytes after the last tensor; expected none`);
}

function readTensor(data: Buffer, entry: HeaderEntry, key: string, bad: (reason: string) => SteeringError): Tensor {
  const { dtype, shape, data_offsets: offsets } = entry ?? {};
  if (dtype !== "F32") throw bad(`tensor ${key} is ${typeof dtype === "string" ? dtype : shown(dtype)}; expected F32`);
  if (!Array.isArray(shape) || !Array.isArray(offsets)) throw bad(`tensor ${key} has no shape or offsets`);
  if (![...shape, ...offsets].every((value) => Number.isSafeInteger(value) && value >= 0)) {
    throw bad(`the shape and offsets of tensor ${key} are not whole numbers from 0`);
  }
  const [begin, end] = offsets;
  const count = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(count) || end - begin !== count * 4) {
    throw bad(`tensor ${key} has ${end - begin} bytes for shape [${shape.join(", ")}]`);
  }
  if (end > data.length) throw bad(`it ends inside tensor ${key}`);
  const copy = new Float32Array(count);
  new Uint8Array(copy.buffer).set(data.subarray(begin, end));
  return { shape, data: copy };
}

function assertLittleEndian(): void {
  if (endianness() !== "LE") throw new SteeringError("E_NATIVE", "vector files can only be read on little-endian machines");
}
