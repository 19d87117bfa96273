import { readFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "@jest/globals";
import { cliReference } from "./cli-reference.js";

test("docs/cli.md is what the commands say of themselves: otherwise `npm run docs:cli`", async () => {
  expect(await readFile("docs/cli.md", "utf8")).toBe(cliReference());
}, 120_000);

test("every error code is explained, and no other", async () => {
  const codes = [...(await readFile("lib/errors.ts", "utf8")).matchAll(/^ {2}\| "(E_\w+)"/gm)].map((match) => match[1]!);
  const explained = [...(await readFile("docs/errors.md", "utf8")).matchAll(/^\| (E_\w+) \|/gm)].map((match) => match[1]!);
  expect(codes.length).toBeGreaterThan(15);
  expect(explained.sort()).toEqual(codes.sort());
});

test("every link to a file leads to one", async () => {
  const pages = ["README.md", ...(await readdir("docs")).filter((name) => name.endsWith(".md")).map((name) => join("docs", name))];
  const broken: string[] = [];
  for (const page of pages) {
    for (const [, target] of (await readFile(page, "utf8")).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (!/^https?:/.test(target!) && !existsSync(join(dirname(page), target!))) broken.push(`${page}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
});
