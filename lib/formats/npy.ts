import { SteeringError } from "../errors.js";
import type { Tensor } from "./safetensors.js";

const MAGIC = Buffer.from("\x93NUMPY", "latin1");
const ALIGNMENT = 64;
/** Size in bytes and reader of a value, by type. */
const TYPES: Record<string, { size: number; read: (view: DataView, at: number) => number }> = {
  "<f4": { size: 4, read: (view, at) => view.getFloat32(at, true) },
  "<f8": { size: 8, read: (view, at) => view.getFloat64(at, true) },
  "<f2": { size: 2, read: (view, at) => half(view.getUint16(at, true)) },
};

/** Read a .npy file (versions 1 to 3) of little-endian floats in C order. Throws E_BAD_VECTOR with the reason. */
export function decodeNpy(bytes: Uint8Array, name: string): Tensor {
  const bad = (reason: string): SteeringError => new SteeringError("E_BAD_VECTOR", `${name} is not a .npy file of floats: ${reason}`);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < 12 || !buffer.subarray(0, 6).equals(MAGIC)) throw bad("it does not start with \"\\x93NUMPY\"");
  const version = buffer[6]!;
  if (version < 1 || version > 3) throw bad(`its version is ${version}; expected 1 to 3`);
  const isFirst = version === 1;
  const headerBytes = isFirst ? buffer.readUInt16LE(8) : buffer.readUInt32LE(8);
  const begin = (isFirst ? 10 : 12) + headerBytes;
  if (begin > buffer.length) throw bad("it ends inside its header");
  const header = buffer.toString("latin1", isFirst ? 10 : 12, begin);
  const type = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const extents = /'shape':\s*\(([\d,\s]*)\)/.exec(header)?.[1]?.split(",").map((part) => part.trim());
  const shape = extents?.filter((part) => part !== "").map(Number);
  if (type === undefined || shape === undefined) throw bad("its header lacks a type or a shape");
  const reads = TYPES[type];
  if (!reads) throw bad(`its values have type ${type}; expected <f2, <f4 or <f8`);
  if (/'fortran_order':\s*(\w+)/.exec(header)?.[1] !== "False") throw bad("it is in Fortran order; save numpy.ascontiguousarray(x)");
  const length = shape.reduce((product, extent) => product * extent, 1);
  if (buffer.length - begin !== length * reads.size) {
    throw bad(`its shape [${shape.join(", ")}] needs ${length * reads.size} bytes; it has ${buffer.length - begin}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + begin, bytes.byteLength - begin);
  return { shape, data: Float32Array.from({ length }, (_, i) => reads.read(view, i * reads.size)) };
}

/** Encode a .npy file (version 1, `<f4`, C order). */
export function encodeNpy({ shape, data }: Tensor): Uint8Array {
  const dictionary = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`;
  const length = Math.ceil((10 + dictionary.length + 1) / ALIGNMENT) * ALIGNMENT - 10;
  const header = Buffer.alloc(10 + length, " ");
  MAGIC.copy(header);
  header.set([1, 0], 6);
  header.writeUInt16LE(length, 8);
  header.write(`${dictionary.padEnd(length - 1)}\n`, 10, "latin1");
  return Buffer.concat([header, Buffer.from(data.buffer, data.byteOffset, data.byteLength)]);
}

/** The value of a half-precision float. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
