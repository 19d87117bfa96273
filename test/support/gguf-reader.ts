import { ggufBytes, type Metadata, type Tensor, type TensorType } from "./gguf-writer.js";

/** Readers of the numbers of GGUF's metadata, by the specification's type number: bytes, and how to read them. */
const NUMBERS: Record<number, [number, (view: DataView, at: number) => number]> = {
  0: [1, (view, at) => view.getUint8(at)],
  1: [1, (view, at) => view.getInt8(at)],
  2: [2, (view, at) => view.getUint16(at, true)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [4, (view, at) => view.getUint32(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getFloat32(at, true)],
};
const F32 = 6, BOOL = 7, STRING = 8, ARRAY = 9;
const ALIGNMENT = 32;

/** Metadata and tensors of a GGUF whose tensors are F32, F16, Q4_1 or Q8_0, as 32-bit floats. */
export function readGguf(bytes: Buffer): { metadata: Metadata; tensors: Tensor[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 4 + 4;
  const word = (): number => { at += 4; return view.getUint32(at - 4, true); };
  const long = (): number => { at += 8; return Number(view.getBigUint64(at - 8, true)); };
  const text = (): string => { const length = long(); at += length; return bytes.toString("utf8", at - length, at); };
  const value = (type: number): unknown => {
    if (type === STRING) return text();
    if (type === BOOL) return view.getUint8(at++) !== 0;
    if (type === ARRAY) {
      const [of, length] = [word(), long()];
      const items = Array.from({ length }, () => value(of));
      return of === F32 ? { f32: items.map((item) => (item as { f32: number }).f32) } : items;
    }
    const [size, read] = NUMBERS[type]!;
    at += size;
    const number = read(view, at - size);
    return type === F32 ? { f32: number } : number;
  };
  const [nTensors, nPairs] = [long(), long()];
  const metadata = Object.fromEntries(Array.from({ length: nPairs }, () => [text(), value(word())])) as Metadata;
  const infos = Array.from({ length: nTensors }, () => {
    const name = text();
    const shape = Array.from({ length: word() }, long).reverse();
    return { name, shape, type: word(), offset: long() };
  });
  const data = Math.ceil(at / ALIGNMENT) * ALIGNMENT;
  return {
    metadata,
    tensors: infos.map(({ name, shape, type, offset }) => ({
      name, shape, data: floats(view, data + offset, shape.reduce((a, b) => a * b, 1), type),
    })),
  };
}

/** The same model with its matrices in another type. */
export function withMatricesAs(bytes: Buffer, type: TensorType): Buffer {
  const { metadata, tensors } = readGguf(bytes);
  return ggufBytes(metadata, tensors.map((tensor) => (tensor.shape.length === 2 ? { ...tensor, type } : tensor)));
}

function floats(view: DataView, at: number, n: number, type: number): Float32Array {
  if (type === 0) return Float32Array.from({ length: n }, (_, i) => view.getFloat32(at + 4 * i, true));
  if (type === 1) return Float32Array.from({ length: n }, (_, i) => half(view.getUint16(at + 2 * i, true)));
  if (type === 3 || type === 8) return blocks(view, at, n, type === 3 ? q4_1Block : q8Block);
  throw new Error(`tensors of type ${type} are not read`);
}

const BLOCK = 32;
/** Reads one block of values into `out` from `to`; returns its bytes. */
type ReadBlock = (view: DataView, at: number, out: Float32Array, to: number) => number;

function blocks(view: DataView, at: number, n: number, read: ReadBlock): Float32Array {
  const out = new Float32Array(n);
  for (let to = 0; to < n; to += BLOCK) at += read(view, at, out, to);
  return out;
}

/** Scale, then one signed byte per value. */
const q8Block: ReadBlock = (view, at, out, to) => {
  const scale = half(view.getUint16(at, true));
  for (let i = 0; i < BLOCK; i++) out[to + i] = scale * view.getInt8(at + 2 + i);
  return 2 + BLOCK;
};

/** Scale and least value, then four bits per value: the first half of the values low, the second high. */
const q4_1Block: ReadBlock = (view, at, out, to) => {
  const [scale, least] = [half(view.getUint16(at, true)), half(view.getUint16(at + 2, true))];
  for (let i = 0; i < BLOCK / 2; i++) {
    const byte = view.getUint8(at + 4 + i);
    out[to + i] = scale * (byte & 15) + least;
    out[to + i + BLOCK / 2] = scale * (byte >> 4) + least;
  }
  return 4 + BLOCK / 2;
};

/** A number of half precision. */
function half(bits: number): number {
  const [sign, exponent, mantissa] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1024 + mantissa) * 2 ** (exponent - 25);
}
