import { afterEach, expect, test } from "@jest/globals";
import { coloursOf } from "../../bin/colours.js";

const forced = process.env["FORCE_COLOR"];
afterEach(() => {
  if (forced === undefined) delete process.env["FORCE_COLOR"];
  else process.env["FORCE_COLOR"] = forced;
});

const terminal = (has: boolean): Parameters<typeof coloursOf>[0] => ({ isTTY: true, hasColors: () => has });
const pipe = { isTTY: false, hasColors: () => { throw new Error("a pipe has no such method"); } };

test.each([
  ["a terminal with colours", terminal(true), undefined, "\x1b[31mno\x1b[39m"],
  ["a terminal without", terminal(false), undefined, "no"],
  ["a pipe", pipe, undefined, "no"],
  ["a pipe, forced", pipe, "1", "\x1b[31mno\x1b[39m"],
  ["a pipe, forced to have none", pipe, "0", "no"],
] as const)("%s", (_, stream, force, written) => {
  if (force === undefined) delete process.env["FORCE_COLOR"];
  else process.env["FORCE_COLOR"] = force;
  expect(coloursOf(stream).red("no")).toBe(written);
});
