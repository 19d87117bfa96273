import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { sampled } from "../support/slow.js";
import { blocksOf, commandsOf, type Block } from "./blocks.js";

const run = promisify(execFile);
const root = resolve(".");
const PAGES = ["README.md", ...(await readdir("docs")).filter((name) => name.endsWith(".md")).sort().map((name) => `docs/${name}`)];
/** Commands that cannot be run in a test, and why. */
const NOT_HERE: Array<[RegExp, string]> = [
  [/^(git clone|cd |npm (install|start|test|ci|run)|npm start)/, "installs or tests the project itself"],
  [/^(\.\/|cmake|huggingface|hf )/, "a tool that may not be here"],
  [/^(python3?|pip|node|[A-Z_]+=.*npm) /, "needs Python, or builds the addon"],
  [/models pull/, "downloads"],
  [/\b(MODEL|M|FILE|RUN|DIR|NAME|CLONE)\b|…|<\w+>/, "stands for something else"],
  [/plan published|laptop|llama-guard|nllb|madlad|import (alpaca|beavertails)/i, "needs a download"],
];
/** So that nothing is downloaded: the embedded model answers in the place of larger ones, on the datasets that it knows. */
const SUBSTITUTES: Array<[RegExp, string]> = [
  [/gemma3-270m|qwen2\.5-coder-1\.5b-instruct/g, "tiny"], [/qwen2\.5-coder-1\.5b-cheerful/g, "tiny-formal"],
];

let folder: string;
const program = (page: string, line: number): string => `${basename(page, ".md")}-${line}`;
const pages = new Map<string, Block[]>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llama-steer-docs-"));
  await mkdir(join(folder, "node_modules", "@types"), { recursive: true });
  await symlink(root, join(folder, "node_modules", "llama-steer"));
  for (const name of ["node-llama-cpp", "@types/node"]) await symlink(join(root, "node_modules", name), join(folder, "node_modules", name));
  for (const page of PAGES) {
    const blocks = blocksOf(SUBSTITUTES.reduce((text, [from, to]) => text.replace(from, to), await readFile(page, "utf8")));
    pages.set(page, blocks);
    for (const { kind, text, line, notRun } of blocks) if (kind === "program" && !notRun) await writeFile(
      join(folder, `${program(page, line)}.mts`), text,
    );
  }
  const options = {
    module: "nodenext", target: "es2022", lib: ["es2023", "esnext.disposable"], types: ["node"], strict: true,
    noUncheckedIndexedAccess: true, skipLibCheck: true,
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, include: ["*.mts"] }));
}, 60_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

test("every program of the documentation has the types that the library has", async () => {
  const { stdout } = await run(join(root, "node_modules", ".bin", "tsc"), ["-p", folder], { cwd: folder }).catch((
    error: { stdout: string },
  ) => error);
  expect(stdout).toBe("");
}, 120_000);

describe.each(sampled(PAGES, 8))("%s", (page) => {
  test("its programs and commands run", async () => {
    const place = join(folder, basename(page, ".md"));
    await mkdir(place);
    // The embedded model's plan takes a minute: the second page that carries it out finds it done, as a user who reads both would.
    const runs = [...pages.keys()].map((other) => join(folder, basename(other, ".md"), "runs")).find((path) => existsSync(path));
    if (runs) await cp(runs, join(place, "runs"), { recursive: true });
    const env = { ...process.env, LLAMA_STEER_DATASETS: join(root, "models/tiny/datasets"), NO_COLOR: "1" };
    const failures: string[] = [];
    for (const { kind, text, line, notRun } of pages.get(page)!) {
      const attempt = (what: string, file: string, args: string[]): Promise<unknown> => run(
        file, args, { cwd: place, env, timeout: 300_000 },
      )
        .catch((error: { stderr: string; message: string }) => failures.push(`${page}:${line}: ${what}\n${error.stderr || error.message}`));
      if (kind === "json") expect(() => JSON.parse(text)).not.toThrow();
      else if (notRun) continue;
      else if (kind === "program") await attempt("the program", process.execPath, [join(folder, `${program(page, line)}.mjs`)]);
      else for (const command of commandsOf(text)) {
        if (NOT_HERE.some(([pattern]) => pattern.test(command))) continue;
        const words = (command.replace(/^npx /, "").match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replace(/^"(.*)"$/, "$1"));
        if (words.shift() === "llama-steer") await attempt(
          command, process.execPath, [join(root, "dist/bin/llama-steer.js"), ...words, "--quiet"],
        );
        else failures.push(`${page}:${line}: "${command}" is no command of ours, and not among those that cannot be run`);
      }
    }
    expect(failures.join("\n\n")).toBe("");
  }, 600_000);
});

test("blocks are found, joined and told apart", () => {
  const text = [
    "```ts", "a", "```", "words", "<!-- not run: reason -->", "```ts", "b", "```", "", "    llama-steer x  # comment", "    npm test", "",
    "```ts", "// continues", "c", "```", "```text", "d", "```", "<!-- not run: either -->", "    llama-steer y",
  ].join("\n");
  expect(blocksOf(text)).toEqual([
    { kind: "program", text: "a", line: 2 },
    { kind: "program", text: "b\n// continues\nc", line: 7, notRun: "reason" },
    { kind: "commands", text: "llama-steer x  # comment\nnpm test", line: 10 },
    { kind: "commands", text: "llama-steer y", line: 21, notRun: "either" },
  ]);
  expect(commandsOf("a b # c\n# d\ne \\\n  f")).toEqual(["a b", "e f"]);
  expect(() => blocksOf("```ts\nx")).toThrow(/not closed/);
});
