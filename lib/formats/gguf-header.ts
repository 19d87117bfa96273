import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { SteeringError } from "../errors.js";

/** Which part of a split model a GGUF file is: `no` counts from 0; a model in a single file is part 0 of 1. */
export interface Split {
  no: number;
  count: number;
}

const DEFAULT_ALIGNMENT = 32;
const TYPE = { string: 8, array: 9 } as const;
/** Size in bytes of a value, by type of the GGUF specification. */
const VALUE_BYTES: Record<number, number> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
/** Values per block and bytes per block, by ggml type (ggml.h, ggml-common.h). */
const BLOCKS: Record<number, readonly [values: number, bytes: number]> = {
  0: [1, 4], 1: [1, 2], 2: [32, 18], 3: [32, 20], 6: [32, 22], 7: [32, 24], 8: [32, 34], 9: [32, 36], 10: [256, 84], 11: [256, 110],
  12: [256, 144], 13: [256, 176], 14: [256, 210], 15: [256, 292], 16: [256, 66], 17: [256, 74], 18: [256, 98], 19: [256, 50], 20: [32, 18],
  21: [256, 110], 22: [256, 82], 23: [256, 136], 24: [1, 1], 25: [1, 2], 26: [1, 4], 27: [1, 8], 28: [1, 8], 29: [256, 56], 30: [1, 2],
  34: [256, 54], 35: [256, 66], 39: [32, 17], 40: [64, 36], 41: [128, 18], 42: [64, 18],
};
const MAX_DIMENSIONS = 4;
/** A vocabulary of a million tokens with its merges takes less than 100 MB. */
const MAX_HEADER_BYTES = 256 * 1024 * 1024;
const WINDOW_BYTES = 1024 * 1024;

/**
 * Read a GGUF header and check that the file is long enough for all tensors listed in it. Whether llama.cpp can load the file
 * is not checked.
 *
 * @param what the file's name in messages
 * @throws SteeringError E_NOT_FOUND (cannot be read), E_BAD_GGUF (not a GGUF file, or truncated)
 */
export function readGgufHeader(path: string, what = path): { split: Split } {
  const file = openFile(path);
  try {
    return new HeaderReader(file, fstatSync(file).size, what).read();
  } finally {
    closeSync(file);
  }
}

function openFile(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw new SteeringError("E_NOT_FOUND", `${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
}

/** Reads the file in windows of 1 MiB: headers are large, and models larger. */
class HeaderReader {
  private position = 0;
  private window = Buffer.alloc(0);
  private windowStart = 0;

  constructor(private readonly file: number, private readonly size: number, private readonly what: string) {}

  read(): { split: Split } {
    if (this.size < 4 || this.take(4).toString("latin1") !== "GGUF") throw this.bad("it does not start with the bytes \"GGUF\"");
    const version = this.take(4).readUInt32LE();
    if (version !== 2 && version !== 3) throw this.bad(`its version is ${version}; expected 2 or 3`);
    const [nTensors, nPairs] = [this.length(), this.length()];
    const numbers = new Map<string, number>();
    for (let i = 0; i < nPairs; i++) {
      const key = this.text();
      const value = this.value(this.take(4).readUInt32LE());
      if (value !== undefined) numbers.set(key, value);
    }
    const end = this.endOfTensors(nTensors, numbers.get("general.alignment") ?? DEFAULT_ALIGNMENT);
    if (this.size < end) throw this.bad(`it has ${this.size} bytes; its header lists tensors up to byte ${end}`);
    return { split: { no: numbers.get("split.no") ?? 0, count: numbers.get("split.count") ?? 1 } };
  }

  private endOfTensors(nTensors: number, alignment: number): number {
    if (!(alignment > 0)) throw this.bad(`its alignment is ${alignment}; expected a number above 0`);
    let last = 0;
    for (let i = 0; i < nTensors; i++) last = Math.max(last, this.tensorEnd());
    return nTensors === 0 ? this.position : Math.ceil(this.position / alignment) * alignment + last;
  }

  /** End of a tensor, in bytes from the start of the tensor data. A tensor of an unknown type counts as empty. */
  private tensorEnd(): number {
    const name = this.text();
    const nDimensions = this.take(4).readUInt32LE();
    if (nDimensions > MAX_DIMENSIONS) throw this.bad(`tensor ${name} has ${nDimensions} dimensions; expected at most ${MAX_DIMENSIONS}`);
    let values = 1;
    for (let i = 0; i < nDimensions; i++) values *= this.number();
    const [blockValues, blockBytes] = BLOCKS[this.take(4).readUInt32LE()] ?? [1, 0];
    return this.number() + Math.ceil(values / blockValues) * blockBytes;
  }

  /** An integer; undefined for any other type, whose value is skipped. */
  private value(type: number): number | undefined {
    if (type === TYPE.string) return void this.text();
    if (type === TYPE.array) return this.passList();
    const bytes = this.take(this.bytesOf(type));
    switch (type) {
      case 0: return bytes.readUInt8();
      case 1: return bytes.readInt8();
      case 2: return bytes.readUInt16LE();
      case 3: return bytes.readInt16LE();
      case 4: return bytes.readUInt32LE();
      case 5: return bytes.readInt32LE();
      case 10: return Number(bytes.readBigUInt64LE());
      case 11: return Number(bytes.readBigInt64LE());
      default: return undefined;
    }
  }

  private passList(): undefined {
    const type = this.take(4).readUInt32LE();
    const length = this.length();
    if (type !== TYPE.string) return this.skip(length * this.bytesOf(type));
    for (let i = 0; i < length; i++) this.skip(this.length());
  }

  private bytesOf(type: number): number {
    const bytes = VALUE_BYTES[type];
    if (bytes === undefined) throw this.bad(`a value of its metadata has the unknown type ${type}`);
    return bytes;
  }

  private text(): string {
    const length = this.length();
    if (length > WINDOW_BYTES) return this.skip(length) ?? "";
    return this.take(length).toString("utf8");
  }

  private number(): number {
    return Number(this.take(8).readBigUInt64LE());
  }

  /** A count of things in this file, each at least a byte long. */
  private length(): number {
    const length = this.number();
    if (length > this.size) throw this.bad(`it declares ${length} elements in a file of ${this.size} bytes`);
    return length;
  }

  private skip(count: number): undefined {
    this.position += count;
    if (this.position > this.size) throw this.bad("it ends inside its header");
    if (this.position > MAX_HEADER_BYTES) throw this.bad(`its header is longer than ${MAX_HEADER_BYTES} bytes`);
  }

  private take(count: number): Buffer {
    const start = this.position;
    this.skip(count);
    if (start < this.windowStart || this.position > this.windowStart + this.window.length) {
      this.window = Buffer.alloc(Math.min(WINDOW_BYTES, this.size - start));
      this.windowStart = start;
      for (let done = 0; done < this.window.length;) {
        const bytesRead = readSync(this.file, this.window, done, this.window.length - done, start + done);
        if (bytesRead === 0) throw this.bad("it shrank while it was being read");
        done += bytesRead;
      }
    }
    return this.window.subarray(start - this.windowStart, this.position - this.windowStart);
  }

  private bad(reason: string): SteeringError {
    return new SteeringError("E_BAD_GGUF", `${this.what} is not a complete GGUF file: ${reason}`);
  }
}
