/** Metadata by key. Numbers are stored as u32, lists of numbers as i32, unless marked as `f32`. */
export type Metadata = Record<string, string | boolean | number | number[] | string[] | { f32: number | number[] }>;

export type TensorType = "F32" | "Q4_0" | "Q8_0";
/** What a header may list besides; `ggufBytes` does not write it. */
type ListedType = TensorType | "I8";

export interface TensorInfo {
  name: string;
  /** Row-major, `[rows, columns]`; ggml's `ne` is the reverse. */
  shape: readonly number[];
  /** Default F32. The others need a last dimension that is a multiple of 32. */
  type?: TensorType;
}

export interface Tensor extends TensorInfo {
  data: Float32Array;
}

// Numbers of the GGUF specification (version 3) and of ggml's tensor types.
const VERSION = 3;
const ALIGNMENT = 32;
const U32 = 4, I32 = 5, F32 = 6, BOOL = 7, STRING = 8, ARRAY = 9;
const TENSOR_TYPES = { F32: 0, Q4_0: 2, Q8_0: 8, I8: 24 };

/** Values that share one scale, and the bytes of such a block: the scale in half precision, then the values. */
const BLOCK = 32;
const BLOCK_BYTES = { Q4_0: 2 + BLOCK / 2, Q8_0: 2 + BLOCK };

/** The bytes of a GGUF. */
export function ggufBytes(metadata: Metadata, tensors: readonly Tensor[]): Buffer {
  return Buffer.concat([ggufHeader(metadata, tensors), ...tensors.map((tensor) => padded(bytesOfTensor(tensor)))]);
}

/** What stands before the tensors' bytes, which follow one another, each padded to `tensorSize`. */
export function ggufHeader(metadata: Metadata, tensors: ReadonlyArray<Omit<TensorInfo, "type"> & { type?: ListedType }>): Buffer {
  const pairs = Object.entries(metadata).flatMap(([key, value]) => [bytesOfString(key), bytesOfValue(value)]);
  const infos: Buffer[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    const extents = [...tensor.shape].reverse();
    infos.push(
      bytesOfString(tensor.name), word(extents.length), ...extents.map(long), word(TENSOR_TYPES[tensor.type ?? "F32"]), long(offset),
    );
    offset += tensorSize(tensor);
  }
  const counts = [long(tensors.length), long(Object.keys(metadata).length)];
  return padded(Buffer.concat([Buffer.from("GGUF"), word(VERSION), ...counts, ...pairs, ...infos]));
}

/** Bytes of a tensor in the file, padding included. */
export function tensorSize({ shape, type = "F32" }: { shape: readonly number[]; type?: ListedType }): number {
  const values = shape.reduce((product, extent) => product * extent, 1);
  const bytes = type === "F32" ? values * 4 : type === "I8" ? values : (values / BLOCK) * BLOCK_BYTES[type];
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function bytesOfTensor({ name, shape, data, type }: Tensor): Buffer {
  const size = shape.reduce((product, extent) => product * extent, 1);
  if (size !== data.length) throw new Error(`${name}: ${data.length} values for a shape of ${size}`);
  if (type === undefined || type === "F32") return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (shape.at(-1)! % BLOCK !== 0) throw new Error(`${name}: rows of ${shape.at(-1)} cannot be cut into blocks of ${BLOCK}`);
  const blockOf = type === "Q8_0" ? q8Block : q4Block;
  return Buffer.concat(Array.from({ length: size / BLOCK }, (_, block) => blockOf(data.subarray(block * BLOCK, (block + 1) * BLOCK))));
}

/** A half-precision scale, then one signed byte per value: the largest magnitude becomes ±127. */
function q8Block(values: Float32Array): Buffer {
  const scale = Math.max(...values.map(Math.abs)) / 127;
  const block = Buffer.alloc(BLOCK_BYTES.Q8_0);
  block.writeUInt16LE(halfBits(scale));
  values.forEach((value, i) => block.writeInt8(scale === 0 ? 0 : Math.round(value / scale), 2 + i));
  return block;
}

/** Four bits per value, 8 being zero: the first half of the values low, the second high. */
function q4Block(values: Float32Array): Buffer {
  const scale = Math.max(...values.map(Math.abs)) / 7;
  const nibble = (value: number): number => (scale === 0 ? 8 : Math.round(value / scale) + 8);
  const block = Buffer.alloc(BLOCK_BYTES.Q4_0);
  block.writeUInt16LE(halfBits(scale));
  for (let i = 0; i < BLOCK / 2; i++) block[2 + i] = nibble(values[i]!) | (nibble(values[i + BLOCK / 2]!) << 4);
  return block;
}

/** Bits of the half-precision number next to a finite, non-negative one. */
function halfBits(value: number): number {
  const exponent = Math.max(Math.floor(Math.log2(value)), -14);
  // 1024 to 2047 for a normal number and less for a subnormal one. By plain addition, what rounds up to the next power
  // of two carries into the exponent, and a subnormal takes the exponent field down to 0.
  const mantissa = Math.round(value / 2 ** (exponent - 10));
  return (exponent + 14) * 1024 + mantissa;
}

function bytesOfValue(value: Metadata[string]): Buffer {
  if (typeof value === "string") return Buffer.concat([word(STRING), bytesOfString(value)]);
  if (typeof value === "boolean") return Buffer.concat([word(BOOL), Buffer.from([Number(value)])]);
  if (typeof value === "number") return Buffer.concat([word(U32), word(value)]);
  if (!Array.isArray(value)) {
    const { f32 } = value;
    return typeof f32 === "number" ? Buffer.concat([word(F32), float(f32)]) : list(F32, f32.map(float));
  }
  return typeof value[0] === "string" ? list(STRING, value.map((item) => bytesOfString(String(item)))) : list(
    I32, value.map((item) => word(Number(item))),
  );
}

function list(type: number, items: Buffer[]): Buffer {
  return Buffer.concat([word(ARRAY), word(type), long(items.length), ...items]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT)]);
}

function bytesOfString(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([long(bytes.length), bytes]);
}

function word(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value >>> 0);
  return buffer;
}

function long(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}

function float(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeFloatLE(value);
  return buffer;
}
