import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";
import { findNodeLlamaCpp, packageRoot } from "#native/prebuilt";
import { groupedChanges, readGolden, tinyNodes } from "../support/site-nodes.js";
import { ARCHITECTURES, OTHER_ARCHITECTURES } from "../support/tiny-architectures.js";
import { scratch } from "../support/tiny-files.js";
import { assertedStructs, failedAssertions } from "../upgrade/headers.js";

const NAMES = [...ARCHITECTURES, ...OTHER_ARCHITECTURES];
const { version, release } = findNodeLlamaCpp()!;

// `npm run golden:nodes` writes them anew.
test.each(["tiny", "every"] as const)("test/golden/nodes/%s.json was written by the llama.cpp that is installed", (which) => {
  const { nodeLlamaCpp, llamaCpp } = readGolden(which);
  expect({ nodeLlamaCpp, llamaCpp }).toEqual({ nodeLlamaCpp: version, llamaCpp: release });
});

test("the hook sites of every tiny architecture are at the nodes that are pinned", async () => {
  const pinned = readGolden("tiny").architectures;
  expect(NAMES.length).toBeGreaterThan(0);
  expect(groupedChanges(Object.fromEntries(NAMES.map((name) => [name, pinned[name] ?? []])), await tinyNodes(NAMES))).toEqual([]);
});

const onUnix = process.platform === "win32" ? test.skip : test; // the compiler's name, and nm

onUnix("native/engine/llama_abi.h notices a member that comes, goes, moves or changes its type", () => {
  using space = scratch();
  const built = ["headers", "source"].map((parts) => join(packageRoot, "build", `llama.cpp-${release}-${parts}`)).find(existsSync)!;
  for (const folder of ["include", "ggml/include"]) cpSync(join(built, folder), space.path(folder), { recursive: true });
  const header = space.path("include/llama.h");
  const original = readFileSync(header, "utf8");
  const failures = (from: string, to: string): string[] => {
    expect(original).toContain(from);
    writeFileSync(header, original.replace(from, to));
    const include = [join(packageRoot, "native"), space.path("include"), space.path("ggml/include")].flatMap((folder) => ["-I", folder]);
    const { stderr, error } = spawnSync(process.env["CXX"] ?? "c++", ["-std=c++17", "-fsyntax-only", ...include, "-x", "c++", "-"],
      { input: '#include "engine/llama_abi.h"\n', encoding: "utf8", env: { ...process.env, LD_PRELOAD: undefined } });
    expect(error).toBeUndefined();
    return failedAssertions(stderr);
  };
  expect(failures("float bias;", "float bias;")).toEqual([]);
  expect(failures("float bias;", "double bias;"))
    .toEqual(expect.arrayContaining(["llama_logit_bias is no longer 8 bytes long", "llama_logit_bias.bias is no longer a float"]));
  expect(failures("float logit; ", "float extra; float logit; "))
    .toEqual(expect.arrayContaining(["llama_token_data is no longer 12 bytes long", "llama_token_data.logit is no longer at byte 4"]));
  expect(failures("bool swa_full;", "bool full_swa;")).toContain("llama_context_params.swa_full is gone");
  expect(assertedStructs(readFileSync(join(packageRoot, "native", "engine", "llama_abi.h"), "utf8")).length).toBeGreaterThan(0);
});

onUnix("upgrade:check finds nothing changed in the version that is installed, and leaves nothing behind", () => {
  using space = scratch();
  const script = fileURLToPath(new URL("../upgrade/check.js", import.meta.url));
  const env = { ...process.env, TMPDIR: space.folder };
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8", env });
  const [heading, , ...rows] = stdout.split("\n");
  expect(heading).toMatch(`node-llama-cpp ${version} (llama.cpp ${release})`);
  const outcomes = rows.slice(0, 5).map((row) => row.split(/ +/, 2).join(" "));
  expect(outcomes).toEqual(["symbols same", "structs same", "build same", "nodes same", "tests skipped"]);
  expect(rows[0]).toMatch(/ \d{3} functions/);
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining("> nodes\n") });
  expect(readdirSync(space.folder)).toEqual([]);
}, 120_000);
