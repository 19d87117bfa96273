// Installs the package as it would be published with other package managers, and tries it in other runtimes, fetched from npm's registry:
// `npm run runtimes:prove [-- NAME...]`. docs/platforms.md has the outcome. Takes minutes, and 1 GB in the temporary folder.
// Exits with 1 if something failed.
import { execFile } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { findNodeLlamaCpp, hashOf, NODE_API, packageRoot, platformName } from "#native/prebuilt";
import { startRegistry } from "./registry.mjs";

const TOOLS = { bun: "bun@1.4.5", deno: "deno@2.9.6", pnpm: "pnpm@12.21.0", yarn: "@yarnpkg/cli-dist@4.18.1" };
const HERE = dirname(fileURLToPath(import.meta.url));
const CLI = join("node_modules", "llama-steer", "dist", "bin", "llama-steer.js");
const folder = mkdtempSync(join(tmpdir(), "llama-steer-runtimes-"));
const at = (...names) => join(folder, ...names);
const tool = (name) => at("tools", "node_modules", ".bin", name);
const node = process.execPath;

/** How a project installs the package, and starts its command and a program. */
const CASES = {
  npm: { add: ["npm", "install", "--no-audit", "--no-fund", "llama-steer"], command: [node, CLI], program: [node] },
  pnpm: {
    files: { "pnpm-workspace.yaml": `storeDir: ${at("store")}\nallowBuilds:\n  llama-steer: true\n` },
    add: [tool("pnpm"), "add", "llama-steer"], command: [tool("pnpm"), "exec", "llama-steer"], program: [node],
  },
  yarn: {
    files: {
      "yarn.lock": "",
      ".yarnrc.yml": "nodeLinker: pnp\nenableGlobalCache: false\nunsafeHttpWhitelist: [localhost]\nnpmMinimalAgeGate: 0\n",
    },
    add: [tool("yarn"), "add", "llama-steer"], command: [tool("yarn"), "llama-steer"], program: [tool("yarn"), "node"],
  },
  bun: { add: [tool("bun"), "add", "llama-steer"], command: [tool("bun"), CLI], program: [tool("bun")] },
  deno: {
    add: [tool("deno"), "add", "npm:llama-steer"], command: [tool("deno"), "run", "-A", "npm:llama-steer"],
    program: [tool("deno"), "run", "-A"],
  },
};

/** A small plan; a file, which another process reads. */
const PLAN = `models: [tiny]
defaults: { evaluationSize: 2, support: 4, maxNewTokens: 4, alphas: [1], topP: [0.9] }
single: [{ positive: ITA, negative: ENG, evalDataset: ITA_test }]
`;

async function run([program, ...args], options = {}) {
  const { stdout } = await promisify(execFile)(program, args, { maxBuffer: 1e8, timeout: 600_000, ...options });
  return stdout.trim();
}

/** The package's archive, with this machine's own addon as the prebuilt one. */
async function packed() {
  await run(["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", folder], { cwd: packageRoot });
  await run(["tar", "xf", at(readdirSync(folder).find((name) => name.endsWith(".tgz"))), "-C", folder]);
  const prebuilt = at("package", "build", "prebuilt");
  mkdirSync(join(prebuilt, platformName()), { recursive: true });
  const addon = join(prebuilt, platformName(), "llama-steer.node");
  copyFileSync(join(packageRoot, "build", "addon", "Release", "llama-steer.node"), addon);
  const { version, release } = findNodeLlamaCpp();
  const addons = { [platformName()]: { sha256: hashOf(readFileSync(addon)), glibc: "2.28" } };
  const manifest = { nodeLlamaCpp: version, llamaCpp: release, nodeApi: NODE_API, addons };
  writeFileSync(join(prebuilt, "manifest.json"), JSON.stringify(manifest));
  const archive = at("packed");
  mkdirSync(archive);
  await run(["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", archive], { cwd: at("package") });
  return join(archive, readdirSync(archive)[0]);
}

/** Package managers and runtimes, with what the install scripts of those fetch; no other script runs. */
async function installTools(names) {
  mkdirSync(at("tools"));
  writeFileSync(at("tools", "package.json"), JSON.stringify({ private: true }));
  await run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", ...names.map((name) => TOOLS[name])], { cwd: at("tools") });
  for (const name of names) {
    const place = at("tools", "node_modules", name);
    const script = name === "yarn" ? undefined : readdirSync(place).find((file) => /^install\.c?js$/.test(file));
    if (script) await run([node, script], { cwd: place });
  }
}

async function prove({ files = {}, add, command, program }, place, registry) {
  mkdirSync(place);
  writeFileSync(join(place, "package.json"), JSON.stringify({ private: true, type: "module" }));
  writeFileSync(join(place, ".npmrc"), `registry=${registry}\n`);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(place, name), text);
  for (const name of ["program.mjs", "guards.mjs"]) cpSync(join(HERE, name), join(place, name));
  const env = {
    ...process.env, NO_COLOR: "1", LLAMA_STEER_HOME: at("home"), LLAMA_STEER_GPU: "none", LLAMA_STEER_NO_CACHE: "1",
    npm_config_registry: registry, NPM_CONFIG_REGISTRY: registry, YARN_NPM_REGISTRY_SERVER: registry,
    npm_config_cache: at("npm-cache"), BUN_INSTALL_CACHE_DIR: at("bun-cache"), DENO_DIR: at("deno-cache"), YARN_ENABLE_TELEMETRY: "0",
    YARN_GLOBAL_FOLDER: at("yarn-global"), // otherwise Yarn takes this version from its mirror, as an earlier run packed it
  };
  const here = (words) => run(words, { cwd: place, env });
  await here(add);
  const doctor = await here([...command, "doctor"]);
  if (!doctor.includes("prebuilt, SHA-256 verified")) throw new Error(`doctor says:\n${doctor}`);
  const answer = await here([...command, "generate", "tiny", "How do I plan the picnic?", "--steer", "tiny-italian:fixed,1", "--quiet"]);
  const [same, guards] = [await here([...program, "program.mjs"]), await here([...program, "guards.mjs"])];
  if (same.trim() !== answer.trim()) throw new Error(`the program answers "${same}", the command "${answer}"`);
  const data = at("package", "models", "tiny", "datasets");
  for (const name of ["ITA", "ENG"]) cpSync(join(data, name, `${name}_train.json`), join(place, `${name}.json`));
  await here([...command, "extract", "tiny", "--positive", "ITA.json", "--negative", "ENG.json", "--out", "it.safetensors", "--quiet"]);
  writeFileSync(join(place, "plan.yaml"), PLAN);
  const begun = performance.now();
  await here([...command, "experiment", "plan", "plan.yaml", "--out", "runs", "--quiet"]);
  const plan = `plan       ${readFileSync(join(place, "runs", "tiny", "ITA-ENG", "results.jsonl"), "utf8").trim().split("\n").length} answers`
    + ` in ${Math.round((performance.now() - begun) / 1000)} s`;
  return [...doctor.split("\n").slice(0, 2), `answer     ${answer}`, guards, plan].join("\n");
}

async function main() {
  const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(CASES);
  const upstream = (await run(["npm", "config", "get", "registry"])).replace(/\/$/, "");
  const { server, url } = await startRegistry(upstream, await packed(), JSON.parse(readFileSync(at("package", "package.json"), "utf8")));
  await installTools(names.filter((name) => name in TOOLS));
  for (const name of names) {
    console.log(`\n${name}`);
    const outcome = await prove(CASES[name], at(name), url).catch((error) => {
      process.exitCode = 1;
      return `FAILED: ${error.message}\n${error.stdout ?? ""}${error.stderr ?? ""}`;
    });
    console.log(outcome.replaceAll(folder, "…").replace(/^/gm, "  "));
  }
  server.close();
}

await main().finally(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
