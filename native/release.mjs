// Prepares a release: checks that it can be made, sets the version, runs all tests, builds the package with its addons, and checks that.
//   npm run release -- VERSION             e.g. 1.2.3; takes hours
//   npm run release -- VERSION --dry-run   only checks that it can be made, and says what it would do
//   node native/release.mjs VERSION --check TARBALL   only checks a package
// It publishes nothing: .github/workflows/build.yml does, once the tag is pushed.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { PLATFORMS } from "./cross/platforms.mjs";
import { compareVersions, hashOf } from "./prebuilt.mjs";

const readJson = (path) => JSON.parse(readFileSync(path, "utf8"));

/** What a program prints. Throws an error that says which one failed. */
function run(command, args, options = {}) {
  const { error, status, stdout } = spawnSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], ...options });
  if (error) throw new Error(`${command}: ${error.message}`);
  if (status !== 0) throw new Error(`"${[command, ...args].join(" ")}" failed; see the messages above`);
  return stdout;
}

/** What keeps a version from being released, one line each. */
function refusals(version) {
  const current = readJson("package.json").version;
  if (!/^\d+\.\d+\.\d+$/.test(version)) return [`${version} is not a version; expected three numbers, e.g. ${current}`];
  const [, heading = "nothing", text = ""] = /^## (.*)\n([^]*?)(?=^## |(?![^]))/m.exec(readFileSync("CHANGELOG.md", "utf8")) ?? [];
  return [
    compareVersions(version, current) < 0 && `${version} is older than ${current}, the version in package.json`,
    run("git", ["status", "--porcelain"]) !== "" && "the working tree has changes; commit them first",
    run("git", ["tag", "--list", `v${version}`]) !== "" && `the tag v${version} already exists`,
    heading.split(" ")[0] !== version && `CHANGELOG.md begins with "${heading}"; expected "## ${version}"`,
    heading.split(" ")[0] === version && text.trim() === "" && `CHANGELOG.md says nothing about ${version}`,
  ].filter(Boolean);
}

/** What is wrong with an unpacked package, one line each. */
function faults(folder, version) {
  const own = readJson(join(folder, "package.json"));
  const paths = (value) => (typeof value === "string" ? [value] : Object.values(value).flatMap(paths));
  const needed = [...paths(own.exports), ...paths(own.bin), "README.md", "LICENSE", "CHANGELOG.md", "docs/api", "dist/page/index.html"];
  const manifest = join(folder, "build", "prebuilt", "manifest.json");
  const pinned = own.optionalDependencies?.["@node-llama-cpp/linux-x64"];
  const { addons, nodeLlamaCpp } = existsSync(manifest) ? readJson(manifest) : { addons: {}, nodeLlamaCpp: pinned };
  const isWhole = (name) => {
    const path = join(folder, "build", "prebuilt", name, "llama-steer.node");
    return existsSync(path) && hashOf(readFileSync(path)) === addons[name]?.sha256;
  };
  return [
    ...(own.version === version ? [] : [`its version is ${own.version}, not ${version}`]),
    ...needed.filter((path) => !existsSync(join(folder, path))).map((path) => `${join(path)} is missing`),
    ...(nodeLlamaCpp === pinned ? [] : [`its addons are for node-llama-cpp ${nodeLlamaCpp}, not ${pinned}`]),
    ...Object.keys(PLATFORMS).filter((name) => !isWhole(name)).map((name) => `the addon for ${name} is missing or damaged`),
  ];
}

/** Throws an error that says what is wrong with a package. */
function check(tarball, version) {
  const folder = mkdtempSync(join(tmpdir(), "llama-steer-release-"));
  try {
    run("tar", ["xzf", resolve(tarball), "-C", folder]);
    const found = faults(join(folder, "package"), version);
    if (found.length > 0) throw new Error(`${tarball} cannot be published: ${found.join("; ")}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The steps of a release after its checks, each with what it is for. */
const stepsOf = (version) => [
  ["set the version", ["npm", "version", version, "--no-git-tag-version", "--allow-same-version"]],
  ["run all tests", ["bash", ".ci/run"], { CI: "true", LLAMA_STEER_TEST_SLOW: "" }],
  ["build the addons", ["npm", "run", "prebuilt", "--", "all"]],
  ["pack", ["npm", "pack"]],
];

function release(version, isDry) {
  const found = refusals(version);
  if (found.length > 0) throw new Error(`${version} cannot be released: ${found.join("; ")}`);
  if (isDry) return stepsOf(version).map(([title, command]) => `would ${title}: ${command.join(" ")}`).join("\n");
  try {
    for (const [title, [command, ...args], env] of stepsOf(version)) {
      console.error(`> ${title}`);
      run(command, args, { stdio: ["ignore", 2, 2], env: { ...process.env, ...env } });
    }
    check(`llama-steer-${version}.tgz`, version);
  } catch (error) {
    run("git", ["checkout", "--", "package.json", "package-lock.json"]);
    throw error;
  }
  return `llama-steer-${version}.tgz is complete. This publishes the version, from the workflow and with provenance:\n`
    + `  git commit --all --message "Version ${version}" && git tag v${version} && git push --atomic origin HEAD v${version}`;
}

try {
  const options = { "dry-run": { type: "boolean" }, check: { type: "string" } };
  const { values, positionals: [version, ...rest] } = parseArgs({ allowPositionals: true, options });
  if (version === undefined || rest.length > 0) throw new Error("expected one version: npm run release -- VERSION [--dry-run]");
  // Where the "--" is forgotten, npm keeps the option to itself, and says so in the environment.
  const isDry = values["dry-run"] ?? process.env.npm_config_dry_run === "true";
  if (values.check === undefined) console.log(release(version, isDry));
  else check(values.check, version);
} catch (error) {
  console.error(`llama-steer: ${error.message}`);
  process.exitCode = 1;
}
