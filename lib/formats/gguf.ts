import { SteeringError } from "../errors.js";
import type { Tensor } from "./safetensors.js";

/** Content of a small GGUF file: scalar metadata, and F32 tensors by name. */
export interface GgufFile {
  metadata: Map<string, string | number | bigint | boolean>;
  tensors: Map<string, Tensor>;
}

// Constants of the GGUF specification.
const MAGIC = 0x46554747;
const DEFAULT_ALIGNMENT = 32;
const TYPE = { u32: 4, bool: 7, string: 8, array: 9 } as const;
/** Size in bytes of a value, by type. */
const SIZES: Record<number, number> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
const F32 = 0;
const MAX_DIMENSIONS = 4;

/** Read a GGUF file of metadata and F32 tensors; skips lists in the metadata. Throws E_BAD_VECTOR, naming the first fault. */
export function decodeGguf(bytes: Uint8Array, name: string): GgufFile {
  const reader = new Reader(bytes, name);
  if (bytes.byteLength < 24 || reader.u32() !== MAGIC) throw reader.bad("it does not start with the bytes \"GGUF\"");
  const version = reader.u32();
  if (version !== 2 && version !== 3) throw reader.bad(`its version is ${version}; expected 2 or 3`);
  const [nTensors, nPairs] = [reader.count(), reader.count()];
  const metadata: GgufFile["metadata"] = new Map();
  for (let i = 0; i < nPairs; i++) {
    const key = reader.text();
    const value = reader.value(reader.u32());
    if (value !== undefined) metadata.set(key, value);
  }
  const infos = Array.from({ length: nTensors }, () => reader.tensorInfo());
  const alignment = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== "number" || alignment < 1 || alignment % 8 !== 0) {
    throw reader.bad(`its alignment is ${String(alignment)}; expected a multiple of 8`);
  }
  const begin = Math.ceil(reader.position / alignment) * alignment;
  const tensors = new Map<string, Tensor>();
  let expected = 0;
  for (const { key, shape, type, offset } of infos) {
    if (type !== F32) throw reader.bad(`tensor ${key} has type ${type}; expected F32 (${F32})`);
    if (tensors.has(key)) throw reader.bad(`tensor ${key} occurs twice`);
    if (offset !== expected) throw reader.bad(`tensor ${key} begins at ${offset}; expected ${expected}`);
    const data = reader.floats(begin + offset, shape.reduce((product, extent) => product * extent, 1), key);
    tensors.set(key, { shape, data });
    expected += Math.ceil(data.byteLength / alignment) * alignment;
  }
  if (bytes.byteLength > begin + expected) throw reader.bad(`${bytes.byteLength - begin - expected} bytes follow its last tensor`);
  return { metadata, tensors };
}

/** Encode a GGUF file (version 3) of text and u32 metadata and row-major F32 tensors. */
export function encodeGguf(metadata: Record<string, string | number>, tensors: ReadonlyMap<string, Tensor>): Uint8Array {
  const pairs = Object.entries(metadata).flatMap(([key, value]) =>
    (typeof value === "string" ? [text(key), u32(TYPE.string), text(value)] : [text(key), u32(TYPE.u32), u32(value)]));
  let offset = 0;
  const infos = Array.from(tensors, ([key, { shape, data }]) => {
    const info = Buffer.concat([text(key), u32(shape.length), ...[...shape].reverse().map(u64), u32(F32), u64(offset)]);
    offset += Math.ceil(data.byteLength / DEFAULT_ALIGNMENT) * DEFAULT_ALIGNMENT;
    return info;
  });
  const header = Buffer.concat([u32(MAGIC), u32(3), u64(tensors.size), u64(Object.keys(metadata).length), ...pairs, ...infos]);
  const values = Array.from(tensors.values(), ({ data }) => padded(Buffer.from(data.buffer, data.byteOffset, data.byteLength)));
  return Buffer.concat([padded(header), ...values]);
}

class Reader {
  position = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array, private readonly name: string) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  bad(reason: string): SteeringError {
    return new SteeringError("E_BAD_VECTOR", `${this.name} is not a complete GGUF file of vectors: ${reason}`);
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  /** A 64-bit count of things in this file, each at least a byte long. */
  count(): number {
    const value = Number(this.view.getBigUint64(this.take(8), true));
    if (value > this.bytes.byteLength) throw this.bad(`it declares ${value} elements in a file of ${this.bytes.byteLength} bytes`);
    return value;
  }

  text(): string {
    const length = this.count();
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + this.take(length), length).toString("utf8");
  }

  /** A value; undefined for a list. */
  value(type: number): string | number | bigint | boolean | undefined {
    if (type === TYPE.string) return this.text();
    if (type === TYPE.array) return this.passList();
    const at = this.take(this.sizeOf(type));
    switch (type) {
      case 0: return this.view.getUint8(at);
      case 1: return this.view.getInt8(at);
      case 2: return this.view.getUint16(at, true);
      case 3: return this.view.getInt16(at, true);
      case 4: return this.view.getUint32(at, true);
      case 5: return this.view.getInt32(at, true);
      case 6: return this.view.getFloat32(at, true);
      case 7: return this.view.getUint8(at) !== 0;
      case 10: return this.view.getBigUint64(at, true);
      case 11: return this.view.getBigInt64(at, true);
      default: return this.view.getFloat64(at, true);
    }
  }

  tensorInfo(): { key: string; shape: number[]; type: number; offset: number } {
    const key = this.text();
    const nDimensions = this.u32();
    if (nDimensions < 1 || nDimensions > MAX_DIMENSIONS) {
      throw this.bad(`tensor ${key} has ${nDimensions} dimensions; expected 1 to ${MAX_DIMENSIONS}`);
    }
    const shape = Array.from({ length: nDimensions }, () => this.count()).reverse();
    return { key, shape, type: this.u32(), offset: this.count() };
  }

  floats(begin: number, length: number, key: string): Float32Array {
    if (begin + 4 * length > this.bytes.byteLength) throw this.bad(`it ends inside tensor ${key}`);
    return Float32Array.from({ length }, (_, i) => this.view.getFloat32(begin + 4 * i, true));
  }

  private passList(): undefined {
    const type = this.u32();
    const length = this.count();
    if (type === TYPE.string) for (let i = 0; i < length; i++) this.text();
    else this.take(length * this.sizeOf(type));
  }

  private sizeOf(type: number): number {
    const size = SIZES[type];
    if (size === undefined) throw this.bad(`a value of its metadata has the unknown type ${type}`);
    return size;
  }

  private take(length: number): number {
    const at = this.position;
    if (at + length > this.bytes.byteLength) throw this.bad("it ends inside its header");
    this.position += length;
    return at;
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "utf8");
  return Buffer.concat([u64(bytes.length), bytes]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((DEFAULT_ALIGNMENT - (bytes.length % DEFAULT_ALIGNMENT)) % DEFAULT_ALIGNMENT)]);
}
