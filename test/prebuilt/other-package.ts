import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findNodeLlamaCpp, packageRoot } from "#native/prebuilt";
import { readHeaders, type Headers } from "../upgrade/headers.js";
import { extractHeaders, installOther, writeStandIns } from "../upgrade/other-version.js";
import { lackingDeclarations, namesOf, ofLlamaCpp } from "../upgrade/symbols.js";

/**
 * A copy of this package around another node-llama-cpp, with addons for `platforms`: it proves the build and the addon's code where npm's
 * registry has only another version's libraries. Functions that its llama.cpp lacks return nothing, so the engine does without them.
 *
 * @returns its folder
 */
export async function otherPackage(
  version: string, platforms: readonly string[], addonPath: string, folder: string, signal: AbortSignal,
): Promise<string> {
  const { root, nodeLlamaCpp: theirs } = await installOther(version, folder, signal);
  const headersOf = async (from: string, name: string): Promise<Headers> =>
    readHeaders(headerFiles(await extractHeaders(from, join(folder, name), signal)));
  const used = ofLlamaCpp(namesOf(spawnSync("nm", ["-D", "--undefined-only", addonPath], { encoding: "utf8" }).stdout));
  const lacking = lackingDeclarations(used, await headersOf(findNodeLlamaCpp()!.folder, "ours"), await headersOf(theirs, "theirs"));
  for (const declaration of lacking) console.error(`  stand-in for ${declaration}`);
  // Its structs are not assumed to be those of the pinned version.
  writeFileSync(join(root, "native", "engine", "llama_abi.h"), readFileSync(join(packageRoot, "native", "engine", "llama_abi.h")));
  const env = { ...process.env, CXXFLAGS: `-include ${writeStandIns(root, lacking, "return {};")}` };
  const args = [join(root, "native", "prebuild.mjs"), ...platforms];
  const { status } = spawnSync(process.execPath, args, { cwd: root, env, stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new Error(`the addons for node-llama-cpp ${version} cannot be built; see above`);
  return root;
}

function headerFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && entry.name.endsWith(".h"))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"));
}
