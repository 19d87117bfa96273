import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { chatRequestSchema, completionRequestSchema } from "../../lib/server/schemas/index.js";
import { cliReference } from "./cli-reference.js";

test("docs/cli.md is what the commands say of themselves: otherwise `npm run docs:cli`", async () => {
  expect(await readFile("docs/cli.md", "utf8")).toBe(cliReference());
}, 300_000);

test("the API reference explains every public name", async () => {
  const folder = await mkdtemp(join(tmpdir(), "llama-steer-api-"));
  try {
    // Fails for a name without a docstring, a link that leads nowhere, and a type that cannot be imported.
    await promisify(execFile)(
      process.execPath, [join("node_modules", "typedoc", "bin", "typedoc"), "--options", "test/docs/typedoc.json", "--out", folder],
    );
    expect(await readdir(folder)).toEqual(expect.arrayContaining(["README.md"]));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 300_000);

test("every error code is explained, and no other", async () => {
  const codes = [...(await readFile("lib/errors.ts", "utf8")).matchAll(/^ {2}\| "(E_\w+)"/gm)].map((match) => match[1]!);
  const explained = [...(await readFile("docs/errors.md", "utf8")).matchAll(/^\| (E_\w+) \|/gm)].map((match) => match[1]!);
  expect(codes.length).toBeGreaterThan(15);
  expect(explained.sort()).toEqual(codes.sort());
});

test("docs/server.md says which fields chats and text completions accept without effect, and which only chats", async () => {
  const [, both = "", chats = ""] = /^Tools, .*? refused\.(.*?) are accepted (.*?)\n\n/ms.exec(await readFile("docs/server.md", "utf8")) ?? [];
  const [inBoth, inChats] = [both, chats].map((text) => [...text.matchAll(/`(\w+)`/g)].map((match) => match[1]!));
  expect(Object.keys(chatRequestSchema.shape)).toEqual(expect.arrayContaining([...inBoth!, ...inChats!]));
  expect(inBoth!.filter((name) => !(name in completionRequestSchema.shape))).toEqual([]);
  expect(inChats!.filter((name) => name in completionRequestSchema.shape)).toEqual([]);
  expect([inBoth!.length, inChats!.length]).toEqual([8, 5]);
});

async function pages(): Promise<string[]> {
  const names = (await readdir("docs", { recursive: true })).filter((name) => name.endsWith(".md") && !name.startsWith("api/"));
  return ["README.md", "CHANGELOG.md", ...names.map((name) => join("docs", name))];
}

test("every line of prose has at most 140 characters", async () => {
  const long: string[] = [];
  for (const page of await pages()) {
    const text = (await readFile(page, "utf8")).replace(/^ *```.*?^ *```/gms, (code) => code.replace(/.+/g, ""));
    for (const [index, line] of text.split("\n").entries()) {
      if (line.length > 140 && !/^(\||!| {4})/.test(line)) long.push(`${page}:${index + 1}`); // nor tables, figures and commands
    }
  }
  expect(long).toEqual([]);
});

test("every link to a file leads to one", async () => {
  const broken: string[] = [];
  for (const page of await pages()) {
    for (const [, target] of (await readFile(page, "utf8")).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (!/^https?:/.test(target!) && !existsSync(join(dirname(page), target!))) broken.push(`${page}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
});
