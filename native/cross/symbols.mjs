// Checks of a cross-built addon that need no machine of its platform: whatever it takes from elsewhere is there.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { compareVersions } from "../prebuilt.mjs";
import { exportsOf, importsOf } from "./pe.mjs";

/** The newest glibc whose symbols an addon may use. */
export const GLIBC = "2.28";
const LINKED = /^(lib)?(llama\.|ggml\.|ggml-base\.).*(so|dylib|dll)$/;
const WINDOWS = /^(kernel32|ntdll|advapi32|api-ms-win-crt-[\w-]+)\.dll$/i;

let nodeApi;

/** Whether Node exports a symbol. Loads its list of them only now, since `release --dry-run` runs in a clone without packages, too. */
function isNodeApi(name) {
  if (nodeApi === undefined) {
    const { v9 } = createRequire(import.meta.url)("node-api-headers").symbols;
    nodeApi = new Set([...v9.js_native_api_symbols, ...v9.node_api_symbols]);
  }
  return nodeApi.has(name);
}

/**
 * Checks that node-llama-cpp's libraries in `bins`, Node and the system export every symbol that an addon takes from elsewhere. Throws an
 * error that names those that nobody exports. Returns `{ imported, glibc }`: how many symbols it takes from llama.cpp, and on Linux the
 * oldest glibc on which the addon and the libraries run.
 */
export function checkSymbols(platform, addon, bins, zig) {
  const libraries = readdirSync(bins).filter((name) => LINKED.test(name)).map((name) => join(bins, name));
  if (libraries.length !== 3) throw new Error(`expected llama, ggml and ggml-base in ${bins}, found ${libraries.length} libraries`);
  const [system, processor] = platform.split("-");
  const { taken, exported, missing, glibc } = { linux, mac, win }[system](addon, libraries, zig, processor);
  if (missing.length > 0) throw new Error(`${platform}: nobody exports ${missing.join(", ")}`);
  return { imported: taken.filter((name) => exported.has(name)).length, glibc };
}

function linux(addon, libraries) {
  const names = (path, which) => nm(["-D", which, path]).map((line) => line.split(/\s+/).at(-1));
  const exported = new Set(libraries.flatMap((path) => names(path, "--defined-only")).map((name) => name.replace(/@.*/, "")));
  const needed = names(addon, "--undefined-only");
  const inherited = libraries.flatMap((path) => names(path, "--undefined-only"));
  const weak = new Set(nm(["-D", "--undefined-only", addon]).filter((line) => /^\s*[wv] /.test(line)).map((line) => line.split(/\s+/).at(-1)));
  const isThere = (name) => {
    const [plain, version] = name.split("@");
    if (version === undefined) return weak.has(name) || exported.has(plain) || isNodeApi(plain);
    const [family, number] = version.split("_");
    return compareVersions(number, family === "GLIBC" ? GLIBC : newest(inherited, family)) <= 0;
  };
  return { taken: needed, exported, missing: needed.filter((name) => !isThere(name)), glibc: newest([...needed, ...inherited], "GLIBC") };
}

/** The newest version of a family of symbols, such as GLIBC, that names like `exp@GLIBC_2.29` ask for. */
function newest(names, family) {
  const versions = names.flatMap((name) => new RegExp(`@${family}_([\\d.]+)$`).exec(name)?.[1] ?? []);
  return versions.sort(compareVersions).at(-1) ?? "0";
}

function mac(addon, libraries, zig, processor) {
  const names = (args) => nm(["--format=just-symbols", ...args]).map((name) => name.replace(/^_/, ""));
  const exported = new Set(libraries.flatMap((path) => names(["-g", "--defined-only", path])));
  const taken = names(["--undefined-only", addon]);
  const system = new Set(systemSymbols(readFileSync(join(dirname(zig), "lib", "libc", "darwin", "libSystem.tbd"), "utf8"), processor));
  return { taken, exported, missing: taken.filter((name) => !exported.has(name) && !isNodeApi(name) && !system.has(name)) };
}

/** What a list of macOS's symbols (text-based stubs, version 4) has for a processor, without the underscore of C. */
export function systemSymbols(stubs, processor) {
  const target = { x64: "x86_64-macos", arm64: "arm64e-macos" }[processor]; // macOS has its libraries for arm64 as arm64e
  const sections = stubs.matchAll(/- targets:\s*\[([^\]]*)\]((?:\s+[\w-]*symbols:\s*\[[^\]]*\])+)/g);
  return [...sections].filter(([, targets]) => targets.split(/[\s,]+/).includes(target))
    .flatMap(([, , symbols]) => [...symbols.matchAll(/(?<=[\s,['"])_?([\w$.]+)/g)].map(([, name]) => name));
}

function win(addon, libraries) {
  const imports = importsOf(readFileSync(addon));
  const exported = new Set();
  const missing = [];
  for (const [dll, names] of Object.entries(imports)) {
    const library = libraries.find((path) => path.endsWith(dll));
    if (library === undefined && !WINDOWS.test(dll)) missing.push(...names.map((name) => `${name} of ${dll}`));
    if (library === undefined) continue;
    const there = new Set(exportsOf(readFileSync(library)));
    for (const name of names) {
      if (there.has(name)) exported.add(name);
      else missing.push(`${name} of ${dll}`);
    }
  }
  return { taken: Object.values(imports).flat(), exported, missing };
}

function nm(args) {
  const { error, status, stdout, stderr } = spawnSync("llvm-nm", args, { encoding: "utf8", maxBuffer: 1 << 28 });
  if (error) throw new Error("llvm-nm not found; on Debian: apt-get install llvm");
  if (status !== 0) throw new Error(`llvm-nm failed: ${stderr}`);
  return stdout.split("\n").filter((line) => line.trim() !== "");
}
