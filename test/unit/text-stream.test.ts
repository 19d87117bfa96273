import { expect, test } from "@jest/globals";
import { TextStream } from "../../lib/generate/text-stream.js";
import { seededRandom } from "../../lib/maths/random.js";

/** What each push and, last, finish() gave. */
function stream(stops: readonly string[], ...chunks: Array<string | number[]>): string[] {
  const text = new TextStream(stops);
  const pushed = chunks.map((chunk) => text.push(typeof chunk === "string" ? Buffer.from(chunk) : Uint8Array.from(chunk)));
  return [...pushed, text.finish()];
}

test("text without stop strings passes token by token", () => {
  expect(stream([], "Le api", " fanno", " miele")).toEqual(["Le api", " fanno", " miele", ""]);
});

test("a character split over tokens appears when its last byte came", () => {
  expect(stream([], [0x63, 0xc3], [0xa8], "!")).toEqual(["c", "è", "!", ""]); // è is C3 A8
  expect(stream([], [0xe8], [0x9c], [0x9c])).toEqual(["", "", "蜜", ""]); // 蜜 is E8 9C 9C
  expect(stream([], [0xf0, 0x9f], [0x90], [0x9d, 0x21])).toEqual(["", "", "🐝!", ""]); // 🐝 is F0 9F 90 9D
});

test("finish() shows a character that never ended as U+FFFD", () => {
  expect(stream([], [0x61, 0xf0, 0x9f])).toEqual(["a", "\ufffd"]);
});

test("a byte order mark is text like any other", () => {
  expect(stream([], [0xef, 0xbb, 0xbf], "a").join("")).toBe("\ufeffa");
});

test("a stop string within one token ends the text before it", () => {
  expect(stream(["Q:"], "miele.\n\nQ:What", " next")).toEqual(["miele.\n\n", "", ""]);
});

test("a stop string across tokens never shows its beginning", () => {
  expect(stream(["\nQ:"], "miele", ".\n", "Q", ":", "more")).toEqual(["miele", ".", "", "", "", ""]);
});

test("a false start is released as soon as it is one", () => {
  expect(stream(["Q:"], "a Q", "ueen", " Q", "Q:")).toEqual(["a ", "Queen", " ", "Q", ""]);
});

test("a false start that still holds a shorter start releases only the part before it", () => {
  // "aab": after "aa" comes "a", so the first a is certain and the last two may still begin the stop.
  expect(stream(["aab"], "a", "a", "a", "b")).toEqual(["", "", "a", "", ""]);
});

test("finish() releases what was held back", () => {
  expect(stream(["Q:"], "who? Q")).toEqual(["who? ", "Q"]);
  expect(stream(["<end>"], "<en")).toEqual(["", "<en"]);
});

test("of several stops the earliest counts, whatever their order", () => {
  for (const stops of [["Q:", "\n"], ["\n", "Q:"]]) {
    const text = new TextStream(stops);
    expect(text.push(Buffer.from("one\ntwo Q: three"))).toBe("one");
    expect(text.stoppedBy).toBe("\n");
  }
});

test("a stop inside another stop cuts the same text however the tokens fall", () => {
  const stops = ["abcd", "bc"]; // "bc" is complete before "abcd"
  expect(stream(stops, "xabcd").join("")).toBe("xa");
  expect(stream(stops, "x", "a", "b", "c", "d").join("")).toBe("xa");
  expect(stream(stops, "xab", "cd").join("")).toBe("xa");
});

test("of stops that end together the longest counts", () => {
  for (const chunks of [["xabc"], ["x", "a", "b", "c"]]) {
    expect(stream(["bc", "abc", "c"], ...chunks).join("")).toBe("x");
  }
});

test("nothing comes after the stop", () => {
  const text = new TextStream(["."]);
  expect(text.stoppedBy).toBeUndefined();
  expect(text.push(Buffer.from("a.b"))).toBe("a");
  expect(text.stoppedBy).toBe(".");
  expect([text.push(Buffer.from("c")), text.push(Uint8Array.of(0xc3)), text.finish()]).toEqual(["", "", ""]);
});

test("a stop string of several bytes per character may be split inside a character", () => {
  // 问：is E9 97 AE EF BC 9A
  expect(stream(["问："], "答", [0xe9, 0x97], [0xae, 0xef], [0xbc, 0x9a], "x")).toEqual(["答", "", "", "", "", ""]);
});

/** Independent of TextStream: the whole text up to the start of the stop whose end comes first, the longest of several. */
function cutAtFirstStop(text: string, stops: readonly string[]): string {
  for (let end = 1; end <= text.length; end++) {
    const ending = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    if (ending.length > 0) return text.slice(0, end - Math.max(...ending.map((stop) => stop.length)));
  }
  return text;
}

test("for random texts, stops and splits the output is the text cut at the first stop", () => {
  const random = seededRandom(7);
  const below = (n: number): number => Math.floor(random() * n);
  // Few letters, so that stops occur often, overlap, and nest; of 1 to 4 bytes each.
  const letters = ["a", "b", "Q", ":", "\n", "è", "蜜", "🐝"];
  const word = (length: number): string => Array.from({ length }, () => letters[below(letters.length)]).join("");
  let stopped = 0;
  for (let round = 0; round < 3000; round++) {
    const source = word(below(25));
    const stops = Array.from({ length: below(4) }, () => word(1 + below(3)));
    const bytes = Buffer.from(source);
    const text = new TextStream(stops);
    const expected = cutAtFirstStop(source, stops);
    let output = "";
    let takenBack = false;
    for (let start = 0; start < bytes.length;) {
      const end = start + below(5); // tokens may be empty
      output += text.push(bytes.subarray(start, end));
      takenBack ||= !expected.startsWith(output);
      start = end;
    }
    output += text.finish();
    expect({ source, stops, output, takenBack }).toEqual({ source, stops, output: expected, takenBack: false });
    if (text.stoppedBy !== undefined) stopped++;
  }
  // The rounds exercise both ways to end.
  expect(stopped).toBeGreaterThan(500);
  expect(stopped).toBeLessThan(2500);
});
