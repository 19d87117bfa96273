import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "#native/prebuilt";
import { groupedChanges, readGolden, type NodeLists } from "../support/site-nodes.js";
import { assertedStructs, failedAssertions, readHeaders, structChanges, type Headers } from "./headers.js";
import { writeStandIns } from "./other-version.js";
import type { Section } from "./page.js";
import { CommandFailed, outputOf } from "./processes.js";
import { askedByName, lackingDeclarations, namesOf, ofLlamaCpp, symbolChanges } from "./symbols.js";

/** What is compared, and with what. */
export interface Comparison {
  /** The package that has the other llama.cpp; ours where there is no other. */
  root: string;
  /** Folders of headers. */
  ours: string;
  theirs: string;
  /** Folder of the other llama.cpp's libraries; undefined where there are none for this platform. */
  libraries: string | undefined;
  addonPath: string;
  /** Of every architecture, or of the tiny ones of the tests. */
  architectures: "every" | "tiny";
  withTests: boolean;
  signal: AbortSignal;
}

type Found = Omit<Section, "title">;

const native = join(packageRoot, "native");

/** What differs, thing by thing, in the order of the page. */
export async function compare(comparison: Comparison): Promise<Section[]> {
  const before = readHeaders(sourcesOf(comparison.ours, /\.h$/));
  const after = readHeaders(sourcesOf(comparison.theirs, /\.h$/));
  const used = ofLlamaCpp(await namesIn(comparison, ["-gu"], comparison.addonPath));
  const lacking = lackingDeclarations(used, before, after);
  const built = [
    await section("symbols", comparison, () => symbols(comparison, used, before, after)),
    await section("structs", comparison, () => structs(comparison, before, after)),
    await section("build", comparison, () => build(comparison, lacking)),
  ];
  const isBuilt = built.at(-1)!.outcome === "same";
  const notTested = !isBuilt ? "there is no addon to test" : lacking.length > 0 ? "they need the functions that are missing"
    : !comparison.withTests && "--tests runs those of test/native, which takes minutes";
  return [
    ...built,
    await section("nodes", comparison, () => (isBuilt ? nodes(comparison) : skipped("there is no addon to ask for them"))),
    await section("tests", comparison, () => (notTested ? skipped(notTested) : tests(comparison))),
  ];
}

const FAILURES = {
  symbols: "the libraries cannot be read", structs: "the compiler does not run", build: "our addon does not compile with it",
  nodes: "the addon cannot read the graphs", tests: "tests of test/native fail",
};

/** What a comparison finds, or, where a command of it fails, what that printed. */
async function section(title: keyof typeof FAILURES, { root }: Comparison, find: () => Promise<Found>): Promise<Section> {
  console.error(`> ${title}`);
  try {
    return { title, ...await find() };
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    const lines = error.output.replaceAll(`${root}/`, "").split("\n").filter((line) => line.trim() !== "");
    const telling = lines.filter((line) => /\berror:|^llama-steer:|^\s*(✕|●)|^Tests:/i.test(line));
    return { title, outcome: "failed", summary: FAILURES[title], lines: telling.length > 0 ? [...new Set(telling)] : lines.slice(-20) };
  }
}

function found(summary: string, changes: readonly string[]): Found {
  return { outcome: changes.length > 0 ? "changed" : "same", summary, lines: changes };
}

async function skipped(summary: string): Promise<Found> {
  return { outcome: "skipped", summary };
}

async function namesIn({ signal }: Comparison, options: readonly string[], path: string): Promise<Set<string>> {
  const dynamic = process.platform === "darwin" ? [] : ["-D"];
  return namesOf(await outputOf("nm", [...dynamic, ...options, path], { signal }));
}

async function symbols(comparison: Comparison, used: readonly string[], before: Headers, after: Headers): Promise<Found> {
  if (!comparison.libraries) {
    const lines = symbolChanges(used, new Set(used), before, after);
    return { outcome: "failed", summary: "npm has no libraries of this platform for it; only declarations are compared", lines };
  }
  const files = readdirSync(comparison.libraries).map((name) => join(comparison.libraries!, name));
  const exported = new Set<string>();
  for (const path of files.filter((path) => /[\\/]lib(llama|ggml|ggml-base)(\..+)?\.(so|dylib)$/.test(path))) {
    for (const name of await namesIn(comparison, ["-g", "--defined-only"], path)) exported.add(name);
  }
  const cpu = files.filter((path) => /libggml-cpu[^/]*\.(so|dylib)$/.test(path)).map((path) => readFileSync(path));
  const asked = askedByName(sourcesOf(join(native, "engine"), /\.(cc|h)$/));
  const unknown = asked.filter((name) => cpu.length === 0 || !cpu.every((library) => library.includes(`${name}\0`)));
  const lines = [...symbolChanges(used, exported, before, after), ...unknown.map((name) => `${name} is not in the CPU back end`)];
  return found(`${used.length} functions in use, ${asked.length} more asked for by name`, lines);
}

async function structs({ theirs, signal }: Comparison, before: Headers, after: Headers): Promise<Found> {
  const names = assertedStructs(readFileSync(join(native, "engine", "llama_abi.h"), "utf8"));
  const compiler = process.env["CXX"] ?? "c++";
  const isClang = (await outputOf(compiler, ["--version"], { signal })).includes("clang");
  const include = [native, join(theirs, "include"), join(theirs, "ggml", "include")].flatMap((folder) => ["-I", folder]);
  const options = ["-std=c++17", "-fsyntax-only", isClang ? "-ferror-limit=0" : "-fmax-errors=0", ...include, "-x", "c++", "-"];
  const output = await outputOf(compiler, options, { signal, input: '#include "engine/llama_abi.h"\n' })
    .catch((error: unknown) => { if (error instanceof CommandFailed) return error.output; throw error; });
  const failed = failedAssertions(output);
  const elsewhere = failed.filter((message) => !names.some((name) => message.startsWith(name)));
  const changes = names.flatMap((name) => structChanges(name, before.membersOf(name), after.membersOf(name), failed));
  return found(`${names.length} structs that the engine fills, reads or passes`, [...changes, ...elsewhere]);
}

async function build({ root, libraries, withTests, signal }: Comparison, lacking: readonly string[]): Promise<Found> {
  if (root === packageRoot) return { outcome: "same", summary: "the addon that is installed" };
  if (!libraries) return skipped("there are no libraries to link with");
  const flags = [withTests ? "-O3 -DNDEBUG" : "-O0", ...(lacking.length > 0 ? [`-include "${writeStandIns(root, lacking)}"`] : [])];
  const env = { LLAMA_STEER_GPU: "none", LLAMA_STEER_FROM_SOURCE: "", LLAMA_STEER_CMAKE_OPTION_CMAKE_CXX_FLAGS_RELEASE: flags.join(" ") };
  await outputOf(process.execPath, [join(root, "native", "build.mjs")], { cwd: root, env, signal });
  return found(`our addon${lacking.length > 0 ? `, with stand-ins for what is missing (${lacking.length})` : ""}`, []);
}

async function nodes({ root, architectures, signal }: Comparison): Promise<Found> {
  const script = join(root, "dist", "test", "upgrade", "list-nodes.js");
  const env = { LLAMA_STEER_TEST_SLOW: undefined, ...(root !== packageRoot && { LLAMA_STEER_ADDON: undefined }) };
  const lists = JSON.parse(await outputOf(process.execPath, [script, architectures], { cwd: root, env, signal })) as NodeLists;
  const lines = groupedChanges(readGolden(architectures).architectures, lists);
  return found(`where the sites of ${Object.keys(lists).length} architectures are`, lines);
}

async function tests({ root, signal }: Comparison): Promise<Found> {
  const jest = ["--experimental-vm-modules", join(root, "node_modules", "jest", "bin", "jest.js"), "dist/test/native"];
  const isOther = root !== packageRoot;
  // What upgrade.test.ts compares, the other sections have compared.
  await outputOf(process.execPath, [...jest, ...(isOther ? ["--testPathIgnorePatterns", "native/upgrade.test"] : [])],
    { cwd: root, env: isOther ? { LLAMA_STEER_ADDON: undefined } : {}, signal });
  return { outcome: "same", summary: "dist/test/native passes" };
}

/** The texts of all files below a folder whose names match. */
function sourcesOf(folder: string, name: RegExp): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && name.test(entry.name))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"));
}
