import { stripVTControlCharacters } from "node:util";
import { expect, test } from "@jest/globals";
import { alphaBlock, AlphaStrip, alphaStrip } from "../../bin/alpha-strip.js";
import type { GeneratedToken } from "../../lib/index.js";

/** Tokens from [text, alpha of each property…]. */
function tokens(...list: Array<[string, ...number[]]>): GeneratedToken[] {
  return list.map(([text, ...alphas], step) => ({
    text, answer: text, thoughts: "", token: step, step, phase: "answer", readings: alphas.map((alpha) => ({ alpha, kl: null })),
  }));
}

function strip(list: GeneratedToken[], alphaMax: number[], width: number): string[] {
  return alphaStrip(list, alphaMax, width).map((line) => stripVTControlCharacters(line));
}

test("a block is as high as alpha: eighths of the most", () => {
  expect([0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2].map((alpha) => alphaBlock(alpha, 2)).join("")).toBe("▁▂▃▄▅▆▇█");
});

test("nothing at 0, the lowest block for anything above, the full one at the most and beyond", () => {
  expect(alphaBlock(0, 2)).toBe(" ");
  expect(alphaBlock(-1, 2)).toBe(" ");
  expect(alphaBlock(NaN, 2)).toBe(" ");
  expect(alphaBlock(1e-9, 2)).toBe("▁");
  expect(alphaBlock(2, 2)).toBe("█");
  expect(alphaBlock(5, 2)).toBe("█");
});

test("the strip lies under the tokens, as wide as each", () => {
  expect(strip(tokens(["Le", 2], [" api", 1], ["!", 0.25]), [2], 80)).toEqual([
    "Le api!",
    "██▄▄▄▄▁",
  ]);
});

test("one strip per property, each on its own scale", () => {
  expect(strip(tokens(["ab", 2, 2], ["c", 0, 1]), [2, 4], 80)).toEqual(["abc", "██ ", "▄▄▂"]);
});

test("a monitor's strip comes after the properties' and is full at 1", () => {
  const list = tokens(["ab", 2], ["c", 0]).map((token, i) => ({ ...token, monitors: [[0.5, 0][i]!, [1, 0.01][i]!] }));
  let written = "";
  const strips = new AlphaStrip([2], 80, (text) => { written += text; }, 2);
  for (const token of list) strips.push(token);
  strips.finish();
  expect(stripVTControlCharacters(written)).toBe("abc\n██ \n▄▄ \n██▁\n");
});

test("a property without a reading is drawn as 0", () => {
  expect(strip(tokens(["ab"]), [2], 80)).toEqual(["ab", "  "]);
});

test("Chinese, full-width forms and emoji take two columns", () => {
  expect(strip(tokens(["蜜蜂", 2], ["a", 1], ["，", 0.5], ["𠀀", 0.25], ["🐝", 2], ["è", 1]), [2], 80)).toEqual([
    "蜜蜂a，𠀀🐝è",
    "████" + "▄" + "▂▂" + "▁▁" + "██" + "▄",
  ]);
});

test("a line is full at the width, not before it", () => {
  expect(strip(tokens(["abc", 2], ["de", 1]), [2], 5)).toEqual(["abcde", "███▄▄"]);
  expect(strip(tokens(["abc", 2], ["def", 1]), [2], 5)).toEqual(["abc", "███", "def", "▄▄▄"]);
  // 蜜蜂 has two characters and four columns.
  expect(strip(tokens(["ab", 2], ["蜜蜂", 1]), [2], 5)).toEqual(["ab", "██", "蜜蜂", "▄▄▄▄"]);
});

test("a new line does not begin with a space", () => {
  expect(strip(tokens([" Le", 2], [" api", 1], [" fanno", 2]), [2], 6)).toEqual(["Le api", "██▄▄▄▄", "fanno", "█████"]);
});

test("no line is wider than asked for, and no token is lost", () => {
  const list = tokens(...Array.from({ length: 40 }, (_, index): [string, number] => [` w${index}`, 1]));
  for (const width of [5, 7, 20, 33]) {
    const lines = strip(list, [2], width);
    expect(lines.every((line) => line.length <= width)).toBe(true);
    const text = lines.filter((_, index) => index % 2 === 0);
    const strips = lines.filter((_, index) => index % 2 === 1);
    expect(text.join(" ").split(/\s+/)).toEqual(list.map((token) => token.text.trim()));
    expect(strips.map((line) => line.length)).toEqual(text.map((line) => line.length));
  }
});

test("a line break inside the answer is drawn, in three columns", () => {
  expect(strip(tokens(["a", 2], ["\n\n", 1], ["b", 2]), [2], 80)).toEqual(["a ↵ b", "█▄▄▄█"]);
  expect(strip(tokens(["a.\nb", 2]), [2], 80)).toEqual(["a. ↵ b", "██████"]);
});

test("line breaks at the end of the answer are not drawn", () => {
  const expected = ["Miele.", "█████▄"];
  const [first, second] = [["Miele", 2], [".", 1]] as [[string, number], [string, number]];
  expect(strip(tokens(first, second, ["\n", 2]), [2], 80)).toEqual(expected);
  expect(strip(tokens(first, [".\n\n", 1]), [2], 80)).toEqual(expected);
  // A stop string comes as tokens without text.
  expect(strip(tokens(first, second, ["\n", 2], ["\n", 2], ["", 1], ["", 1]), [2], 80)).toEqual(expected);
  expect(strip(tokens(first, second, [" ", 1], [" \n", 2]), [2], 80)).toEqual(expected);
});

test("white space before the answer is not drawn", () => {
  expect(strip(tokens(["\n", 2], [" ", 2], [" a", 1]), [2], 80)).toEqual(["a", "▄"]);
});

test("an answer of nothing draws nothing", () => {
  expect(strip([], [2], 80)).toEqual([]);
  expect(strip(tokens(["\n", 2], ["", 1]), [2], 80)).toEqual([]);
});

test("without properties it is the wrapped text", () => {
  expect(strip(tokens(["abc"], [" def"]), [], 4)).toEqual(["abc", "def"]);
});
