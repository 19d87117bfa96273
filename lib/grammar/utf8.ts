export interface ByteRange {
  low: number;
  high: number;
}

/** A character's UTF-8 bytes. */
export function encode(point: number): number[] {
  if (point < 0x80) return [point];
  const rest = (shift: number): number => 0x80 | ((point >> shift) & 0x3f);
  if (point < 0x800) return [0xc0 | (point >> 6), rest(0)];
  if (point < 0x10000) return [0xe0 | (point >> 12), rest(6), rest(0)];
  return [0xf0 | (point >> 18), rest(12), rest(6), rest(0)];
}

/** Where the number of bytes changes, and the surrogates, which are not characters. */
const PARTS = [[0, 0x7f], [0x80, 0x7ff], [0x800, 0xd7ff], [0xe000, 0xffff], [0x10000, 0x10ffff]] as const;

/** Sequences of byte ranges that together match the characters from `first` to `last`. */
export function utf8Ranges(first: number, last: number): ByteRange[][] {
  return PARTS.flatMap(([from, to]) => split(Math.max(first, from), Math.min(last, to)));
}

function split(first: number, last: number): ByteRange[][] {
  if (first > last) return [];
  for (const bits of [6, 12, 18]) {
    const low = (1 << bits) - 1;
    if (last <= 0x7f || (first & ~low) === (last & ~low)) continue;
    if ((first & low) !== 0) return [...split(first, first | low), ...split((first | low) + 1, last)];
    if ((last & low) !== low) return [...split(first, (last & ~low) - 1), ...split(last & ~low, last)];
  }
  const end = encode(last);
  return [encode(first).map((byte, index) => ({ low: byte, high: end[index]! }))];
}
