import { describe, expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { OTHER_KINDS } from "../support/every-architecture.js";
import { architectureNames } from "../support/llama-cpp.js";
import { changesOf, readGolden } from "../support/site-nodes.js";
import { line, measured } from "./table.js";

/**
 * `npm run test:architectures` measures all, LLAMA_STEER_ARCHITECTURES=NAME,NAME some; else those that between them have every kind of
 * memory and of structure.
 */
const SAMPLE = [
  "llama", "command-r", "gemma4", "deepseek2", "gpt-oss", "olmo2", "arctic", "bitnet", "falcon-h1", "nemotron_h", "qwen3next", "lfm2",
  "mamba2", "rwkv7", "deepseek4", "codeshell",
  "gptj", "plm",
];
const NAMES = architectureNames();
const { LLAMA_STEER_ARCHITECTURES: asked } = process.env;
const CHOSEN = asked === "all" ? NAMES : asked?.split(",") ?? SAMPLE;

/** What llama.cpp itself computes differently from batch to batch. */
const KNOWN: Record<string, RegExp> = { cogvlm: /^Dyn at \w+ is not what is recomputed$/ };
/** Language models that could not be made, and why: a test that pins the set notices when one joins them. */
const NOT_MADE = ["chameleon", "dots3note", "gptj", "graniteswitch", "plamo2", "plm"];

const TEXT = readFileSync("docs/architectures.md", "utf8");
const { architectures: PINNED } = readGolden("every");
const PAGE = TEXT.split("\n");
const WITHOUT = TEXT.slice(TEXT.indexOf("## What does not generate"));
const rowOf = (name: string): string | undefined => PAGE.find((row) => row.startsWith(`| ${name} |`));

test("docs/architectures.md has every architecture of the bundled llama.cpp, and says of which there is no model", () => {
  expect(NAMES.filter((name) => rowOf(name) === undefined)).toEqual([]);
  const without = NAMES.filter((name) => WITHOUT.includes(`\n| ${name} |`));
  expect(without.filter((name) => !(name in OTHER_KINDS))).toEqual(NOT_MADE);
  console.log(`${NAMES.length} architectures: ${NAMES.length
    - without.length} were made and measured, ${Object.keys(OTHER_KINDS).length} are not language models, `
    + `${NOT_MADE.length} could not be made (${NOT_MADE.join(", ")}); this run measures ${CHOSEN.length}`);
});

describe("what an architecture offers is what docs/architectures.md says, and holds", () => {
  test.each(CHOSEN)("%s", (name) => {
    const found = measured(name);
    expect((found.wrong ?? []).filter((what) => !KNOWN[name]?.test(what))).toEqual([]);
    expect(line(found)).toBe(rowOf(name));
    if (found.nodes) expect(changesOf(PINNED[name], found.nodes)).toEqual([]);
  }, 300_000);
});
