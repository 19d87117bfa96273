import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { SteeringError } from "../errors.js";

/** Which part of a model split over several files a GGUF is: `no` from 0; of a model in one file 0 of 1. */
export interface Split {
  no: number;
  count: number;
}

const DEFAULT_ALIGNMENT = 32;
const TYPE = { string: 8, array: 9 } as const;
/** Bytes of a value of the types of the GGUF specification. */
const VALUE_BYTES: Record<number, number> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
/** Values per block, and bytes of a block, of ggml's types (ggml.h, ggml-common.h). */
const BLOCKS: Record<number, readonly [values: number, bytes: number]> = {
  0: [1, 4], 1: [1, 2], 2: [32, 18], 3: [32, 20], 6: [32, 22], 7: [32, 24], 8: [32, 34], 9: [32, 36], 10: [256, 84], 11: [256, 110],
  12: [256, 144], 13: [256, 176], 14: [256, 210], 15: [256, 292], 16: [256, 66], 17: [256, 74], 18: [256, 98], 19: [256, 50], 20: [32, 18],
  21: [256, 110], 22: [256, 82], 23: [256, 136], 24: [1, 1], 25: [1, 2], 26: [1, 4], 27: [1, 8], 28: [1, 8], 29: [256, 56], 30: [1, 2],
  34: [256, 54], 35: [256, 66], 39: [32, 17], 40: [64, 36], 41: [128, 18], 42: [64, 18],
};
const MAX_DIMENSIONS = 4;
/** A vocabulary of a million words with its merges takes less than 100 MB. */
const MAX_HEADER_BYTES = 256 * 1024 * 1024;
const WINDOW_BYTES = 1024 * 1024;

/**
 * Read a GGUF's header and make sure that the file holds all the tensors that it lists. What the header says is not
 * trusted any further: whether llama.cpp can work with the file is another question.
 *
 * @param what what messages call the file
 * @throws SteeringError E_NOT_FOUND (it cannot be read), E_BAD_GGUF (not a GGUF, or cut short)
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

/** Reads the file by windows of 1 MiB: headers are large, and models larger. */
class HeaderReader {
  private position = 0;
  private window = Buffer.alloc(0);
  private windowStart = 0;

  constructor(private readonly file: number, private readonly size: number, private readonly what: string) {}

  read(): { split: Split } {
    if (this.size < 4 || this.take(4).toString("latin1") !== "GGUF") throw this.bad("it does not begin as one");
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
    if (!(alignment > 0)) throw this.bad(`its alignment is ${alignment}`);
    let last = 0;
    for (let i = 0; i < nTensors; i++) last = Math.max(last, this.tensorEnd());
    return nTensors === 0 ? this.position : Math.ceil(this.position / alignment) * alignment + last;
  }

  /** Where a tensor ends, from the beginning of the tensors' data; that of a type that is not known yet begins there. */
  private tensorEnd(): number {
    const name = this.text();
    const nDimensions = this.take(4).readUInt32LE();
    if (nDimensions > MAX_DIMENSIONS) throw this.bad(`the tensor ${name} has ${nDimensions} dimensions, not up to ${MAX_DIMENSIONS}`);
    let values = 1;
    for (let i = 0; i < nDimensions; i++) values *= this.number();
    const [blockValues, blockBytes] = BLOCKS[this.take(4).readUInt32LE()] ?? [1, 0];
    return this.number() + Math.ceil(values / blockValues) * blockBytes;
  }

  /** A whole number; undefined for anything else, which is passed over. */
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

  /** A number of things of which each takes a byte at least. */
  private length(): number {
    const length = this.number();
    if (length > this.size) throw this.bad(`it announces ${length} of something in ${this.size} bytes`);
    return length;
  }

  private skip(count: number): undefined {
    this.position += count;
    if (this.position > this.size) throw this.bad("it ends inside its header");
    if (this.position > MAX_HEADER_BYTES) throw this.bad(`its header has more than ${MAX_HEADER_BYTES} bytes`);
  }

  private take(count: number): Buffer {
    const start = this.position;
    this.skip(count);
    if (start < this.windowStart || this.position > this.windowStart + this.window.length) {
      this.window = Buffer.alloc(Math.min(WINDOW_BYTES, this.size - start));
      this.windowStart = start;
      for (let done = 0; done < this.window.length;) {
        const bytesRead = readSync(this.file, this.window, done, this.window.length - done, start + done);
        if (bytesRead === 0) throw this.bad("it became shorter while it was read");
        done += bytesRead;
      }
    }
    return this.window.subarray(start - this.windowStart, this.position - this.windowStart);
  }

  private bad(reason: string): SteeringError {
    return new SteeringError("E_BAD_GGUF", `${this.what} is not a whole GGUF file: ${reason}`);
  }
}
