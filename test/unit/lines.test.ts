import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { readLines } from "../../lib/formats/index.js";
import { seededRandom } from "../../lib/maths/index.js";
import { temporaryFolder } from "../support/io-helpers.js";

async function fileOf(bytes: string | Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(), "lines");
  await writeFile(path, bytes);
  return path;
}

describe("lines of a file", () => {
  test("come in order with the position after each, wherever the pieces end that are read", async () => {
    const random = seededRandom(3);
    const lines = Array.from({ length: 300 }, () => "é好𝄞x".repeat(Math.floor(random() ** 4 * 60_000))); // some are longer than a piece
    const whole = Buffer.from(lines.map((line) => `${line}\n`).join(""));
    const path = await fileOf(Buffer.concat([whole, Buffer.from("unfinished 好").subarray(0, -1)]));
    const found: string[] = [];
    const ends: number[] = [];
    await readLines(path, "E_BAD_RUN", (line, index, end) => {
      found[index] = line;
      ends.push(end);
    });
    expect(found.map(({ length }) => length)).toEqual(lines.map(({ length }) => length));
    expect(found.every((line, index) => line === lines[index])).toBe(true);
    expect(ends.map((end, index) => whole.subarray(ends[index - 1] ?? 0, end).toString() === `${lines[index]}\n`)).toEqual(lines.map(() => true));
    expect(ends.at(-1)).toBe(whole.length);
  });

  test.each([
    ["a byte order mark, at the start alone", "\ufeffa\n\ufeffb\n", [["a", 5], ["\ufeffb", 10]]],
    ["carriage returns, which stay", "a\r\nb\r\n", [["a\r", 3], ["b\r", 6]]],
    ["empty lines", "\n\na\n\n", [["", 1], ["", 2], ["a", 4], ["", 5]]],
    ["no line end", "a", []], ["nothing", "", []], ["a torn last line", "a\nb", [["a", 2]]],
    ["a byte order mark and a line end alone", "\ufeff\n", [["", 4]]],
    ["a character on a piece's border", `${"x".repeat(2 ** 18 - 1)}é\né\n`, [[`${"x".repeat(2 ** 18 - 1)}é`, 2 ** 18 + 2], ["é", 2 ** 18 + 5]]],
  ])("with %s", async (_, text, expected) => {
    const found: Array<[string, number]> = [];
    await readLines(await fileOf(text), "E_BAD_RUN", (line, _index, end) => found.push([line, end]));
    expect(found).toEqual(expected);
  });

  test.each([
    ["not UTF-8", Buffer.from([0x61, 0x0a, 0xff, 0x0a]), /is not UTF-8/],
    ["without an end", Buffer.alloc(3 * 2 ** 23 + 1, "x"), /line 1 has more than 25165824 bytes; expected at most 8388608 characters/],
    ["too long", Buffer.concat([Buffer.from("a\n"), Buffer.alloc(2 ** 23 + 1, "x"), Buffer.from("\n")]), /line 2 has 8388609 characters/],
  ])("%s are refused", async (_, bytes, message) => {
    await expect(readLines(await fileOf(bytes), "E_BAD_RUN", () => undefined)).rejects.toMatchObject({
      code: "E_BAD_RUN", message: expect.stringMatching(message),
    });
  });

  test("are no longer read once the signal fires, or their reader throws", async () => {
    const path = await fileOf("line\n".repeat(200_000));
    const stop = new AbortController();
    let read = 0;
    const reading = readLines(path, "E_BAD_RUN", () => { if (++read === 10) stop.abort(); }, stop.signal);
    await expect(reading).rejects.toMatchObject({ code: "E_ABORTED" });
    expect(read).toBeLessThan(200_000);
    const own = new Error("mine");
    await expect(readLines(path, "E_BAD_RUN", () => { throw own; })).rejects.toBe(own);
    await expect(readLines(join(path, "x"), "E_BAD_RUN", () => undefined)).rejects.toMatchObject({ code: "E_NOT_FOUND" });
  });
});
