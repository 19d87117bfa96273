import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { beforeEach, expect, test } from "@jest/globals";
import { temporaryFolder } from "../support/io-helpers.js";

const SCRIPT = resolve("native", "release.mjs");
const PLATFORMS = ["linux-x64", "linux-arm64", "mac-arm64-metal", "mac-x64", "win-x64"];
let folder: string;

const git = (...args: string[]): string =>
  execFileSync("git", ["-c", "user.name=test", "-c", "user.email=test@localhost", ...args], { cwd: folder, encoding: "utf8" });
const write = (files: Record<string, string>): void => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
};
type Ended = { status: number | null; stdout: string; stderr: string };
const run = (command: string, args: string[]): Ended => {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: "utf8" });
  return { status, stdout, stderr };
};
const release = (...args: string[]): Ended => run(process.execPath, [SCRIPT, ...args]);

/** A repository that can be released as 1.2.0, but for its tests, which fail. */
beforeEach(async () => {
  folder = await temporaryFolder();
  const own = { name: "llama-steer", version: "1.1.0", scripts: { release: `"${process.execPath}" "${SCRIPT}"` } };
  write({
    "package.json": `${JSON.stringify(own, null, 2)}\n`,
    "package-lock.json": `${JSON.stringify({ ...own, lockfileVersion: 3, requires: true, packages: { "": own } }, null, 2)}\n`,
    "CHANGELOG.md": "# Changelog\n\n## 1.2.0 (today)\n\n- Something new.\n\n## 1.1.0\n\n- Something old.\n",
    ".ci/run": "echo 'a test failed'; grep version package.json; exit 1\n",
  });
  git("init", "--quiet");
  git("add", "--all");
  git("commit", "--quiet", "--message", "x");
});

const commit = (files: Record<string, string>): void => {
  write(files);
  git("commit", "--quiet", "--all", "--message", "y");
};

test.each<[string, string, () => void, RegExp]>([
  ["is none", "1.2", () => {}, /1\.2 is not a version; expected three numbers, e\.g\. 1\.1\.0$/],
  ["is older", "1.0.9", () => commit({ "CHANGELOG.md": "## 1.0.9\n\nx\n" }),
    /1\.0\.9 is older than 1\.1\.0, the version in package\.json$/],
  ["has changes that are not committed", "1.2.0", () => write({ new: "" }), /the working tree has changes; commit them first$/],
  ["is tagged", "1.2.0", () => git("tag", "v1.2.0"), /the tag v1\.2\.0 already exists$/],
  ["is not in the changelog", "1.3.0", () => {}, /CHANGELOG\.md begins with "1\.2\.0 \(today\)"; expected "## 1\.3\.0"$/],
  ["is not the newest in the changelog", "1.2.0", () => commit({ "CHANGELOG.md": "## Unreleased\n\nx\n\n## 1.2.0\n\nx\n" }),
    /CHANGELOG\.md begins with "Unreleased"; expected "## 1\.2\.0"$/],
  ["has an empty entry", "1.2.0", () => commit({ "CHANGELOG.md": "## 1.2.0\n\n## 1.1.0\n\nx\n" }),
    /CHANGELOG\.md says nothing about 1\.2\.0$/],
])("a version that %s is refused", (_, version, change, reason) => {
  change();
  const { status, stdout, stderr } = release(version);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr.trimEnd()).toMatch(new RegExp(`^llama-steer: ${version} cannot be released: ${reason.source}`));
  expect(readFileSync(join(folder, "package.json"), "utf8")).toContain('"1.1.0"');
});

test("all reasons are told at once", () => {
  write({ "CHANGELOG.md": "" });
  git("tag", "v1.2.0");
  expect(release("1.2.0").stderr).toBe("llama-steer: 1.2.0 cannot be released: the working tree has changes; commit them first; "
    + 'the tag v1.2.0 already exists; CHANGELOG.md begins with "nothing"; expected "## 1.2.0"\n');
});

test.each<[string, () => Ended]>([
  ["--dry-run", () => release("1.2.0", "--dry-run")],
  ["npm run release -- VERSION --dry-run", () => run("npm", ["run", "--silent", "release", "--", "1.2.0", "--dry-run"])],
  ["npm run release VERSION --dry-run", () => run("npm", ["run", "--silent", "release", "1.2.0", "--dry-run"])],
])("%s says what would be done, and does nothing", (_, dry) => {
  const { status, stdout, stderr } = dry();
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const steps = ["set the version", "run all tests", "build the addons", "pack"];
  expect(stdout.match(/(?<=^would )[a-z ]+(?=: )/gm)).toEqual(steps);
  expect(git("status", "--porcelain")).toBe("");
});

test("--dry-run needs no packages: it works in a clone in which nothing is installed", () => {
  const isScript = (path: string): boolean => /native(\/cross)?(\/[\w-]+\.mjs)?$/.test(path);
  cpSync("native", join(folder, "native"), { recursive: true, filter: isScript });
  git("add", "--all");
  commit({});
  const { status, stderr } = run(process.execPath, [join(folder, "native", "release.mjs"), "1.2.0", "--dry-run"]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});

test("where a step fails, the version is as before", () => {
  const { status, stderr } = release("1.2.0");
  expect(status).toBe(1);
  expect(stderr).toMatch(/a test failed\n +"version": "1\.2\.0"/);
  expect(stderr).toMatch(/"bash \.ci\/run" failed; see the messages above\n$/);
  expect(git("status", "--porcelain")).toBe("");
});

test.each<[string, (path: string) => void, string | undefined]>([
  ["whole", () => {}, undefined],
  ["of another version", () => write({ "package/package.json": manifestOf("1.1.9") }), "its version is 1.1.9, not 1.2.0"],
  ["without its entry", () => rmSync(join(folder, "package/dist/lib/index.js")), "dist/lib/index.js is missing"],
  ["without the API's reference", () => rmSync(join(folder, "package/docs"), { recursive: true }), "docs/api is missing"],
  ["without an addon", () => rmSync(join(folder, "package/build/prebuilt/mac-x64"), { recursive: true }),
    "the addon for mac-x64 is missing or damaged"],
  ["with a damaged addon", () => write({ "package/build/prebuilt/win-x64/llama-steer.node": "y" }),
    "the addon for win-x64 is missing or damaged"],
  ["without a list of its addons", () => rmSync(join(folder, "package/build/prebuilt/manifest.json")),
    PLATFORMS.map((name) => `the addon for ${name} is missing or damaged`).join("; ")],
  ["with addons for another llama.cpp", () => write({ "package/package.json": manifestOf("1.2.0", "3.22.1") }),
    "its addons are for node-llama-cpp 3.22.0, not 3.22.1"],
])("a package that is %s", (_, change, fault) => {
  const sha256 = createHash("sha256").update("x").digest("hex");
  const addons = Object.fromEntries(PLATFORMS.map((name) => [name, { sha256 }]));
  write({
    "package/package.json": manifestOf("1.2.0"),
    "package/build/prebuilt/manifest.json": JSON.stringify({ nodeLlamaCpp: "3.22.0", addons }),
    ...Object.fromEntries(PLATFORMS.map((name) => [`package/build/prebuilt/${name}/llama-steer.node`, "x"])),
    ...Object.fromEntries(["dist/lib/index.js", "dist/bin/llama-steer.js", "dist/page/index.html", "README.md", "LICENSE", "CHANGELOG.md",
      "docs/api/index.md"].map((name) => [`package/${name}`, ""])),
  });
  change(folder);
  execFileSync("tar", ["czf", "it.tgz", "package"], { cwd: folder });
  const { status, stderr } = release("1.2.0", "--check", "it.tgz");
  expect({ status, stderr }).toEqual(fault === undefined ? { status: 0, stderr: "" }
    : { status: 1, stderr: `llama-steer: it.tgz cannot be published: ${fault}\n` });
});

function manifestOf(version: string, pinned = "3.22.0"): string {
  const exports = { ".": { import: { default: "./dist/lib/index.js" } }, "./package.json": "./package.json" };
  return JSON.stringify({
    name: "llama-steer", version, exports, bin: { "llama-steer": "dist/bin/llama-steer.js" },
    optionalDependencies: { "@node-llama-cpp/linux-x64": pinned },
  });
}
