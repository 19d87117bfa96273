import { expect, test } from "@jest/globals";
import { closing } from "../../bin/commands/generate.js";
import { sampleLines } from "../../bin/sample.js";
import { labelled, widthOf, wrapped } from "../../bin/wrapped.js";
import { columnsOf } from "../../bin/alpha-strip.js";
import type { GenerationResult } from "../../lib/index.js";

test("a text is broken at spaces; a longer word stays whole, and what fits is as it was", () => {
  expect(wrapped("1 italian  fixed,1.5", 40)).toEqual(["1 italian  fixed,1.5"]);
  expect(wrapped("one two three\n\nfour", 7)).toEqual(["one two", "three", "", "four"]);
  expect(wrapped("a incomprehensibilities b", 6)).toEqual(["a", "incomprehensibilities", "b"]);
  expect(wrapped("日本 語語 x", 5)).toEqual(["日本", "語語", "x"]);
});

test("a text stands beside its label, or below it in a narrow terminal; colours take no room", () => {
  const bold = "\x1b[1mname\x1b[22m";
  expect(labelled(bold, "one two three four five six", 6, 28)).toBe(`${bold}  one two three four\n      five six`);
  expect(labelled(bold, "one two three four", 6, 20)).toBe(`${bold}\n  one two three\n  four`);
  expect(labelled(bold, "one two\nthree", 6, undefined)).toBe(`${bold}  one two\n      three`);
});

test("a sample fits into a narrow terminal, and a file has its answers in one line each", () => {
  const plain = (text: string): string => text;
  const colours = { bold: plain, dim: plain } as never;
  const sample = { question: "Why?", unsteered: "Because that is how it has been for ever and ever.", steered: "So." };
  expect(sampleLines(sample, colours, undefined)).toBe(
    "Why?\nunsteered  Because that is how it has been for ever and ever.\nsteered    So.",
  );
  const lines = sampleLines(sample, colours, 40).split("\n");
  expect(lines).toEqual(["Why?", "unsteered  Because that is how it has", "           been for ever and ever.", "steered    So."]);
  expect(Math.max(...lines.map(columnsOf))).toBeLessThan(40);
  const widths = [{ isTTY: true, columns: 0 }, { isTTY: true, columns: 40 }, { columns: 40 }].map(widthOf);
  expect(widths).toEqual([80, 40, undefined]);
});

test.each([
  ["length", ["Q:"], "2 tokens, 4.0 tokens/s, stopped at --max-new-tokens"],
  ["end", ["Q:"], "2 tokens, 4.0 tokens/s, the model ended the answer"],
  ["stop", ["Q:"], '2 tokens, 4.0 tokens/s, ended before "Q:"'],
  ["stop", ["a", "\n"], '2 tokens, 4.0 tokens/s, ended before "a" or "\\n"'],
] as const)("the closing line says how an answer ended: %s", (finishReason, stop, line) => {
  expect(closing({ tokens: [1, 2], seconds: 0.5, finishReason } as unknown as GenerationResult, stop)).toBe(line);
});
