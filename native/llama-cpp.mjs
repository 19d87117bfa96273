// llama.cpp's sources, out of the git bundle that comes with node-llama-cpp.
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { packageRoot as root } from "./prebuilt.mjs";
import { BuildError, run } from "./spawn.mjs";

const HEADERS = ["include", "ggml/include", "LICENSE"];
/** The parts of llama.cpp's tree that a build needs; an empty list means all of it. */
const PARTS = {
  source: [],
  headers: HEADERS,
  rpc: [...HEADERS, ...["ggml-rpc", "ggml-impl.h", "ggml-backend-impl.h"].map((name) => `ggml/src/${name}`)],
};

/** Extract parts of llama.cpp from node-llama-cpp's git bundle, once per release. */
export function extractLlamaCpp(nodeLlamaCpp, release, parts) {
  const target = join(root, "build", `llama.cpp-${release}-${parts}`);
  if (existsSync(target)) return target;
  const bundle = join(nodeLlamaCpp, "llama", "gitRelease.bundle");
  if (!existsSync(bundle)) throw new BuildError(`${bundle} is missing; reinstall node-llama-cpp`);
  mkdirSync(join(root, "build"), { recursive: true });
  const partial = mkdtempSync(join(root, "build", ".partial-"));
  const [bare, archive, extracted] = ["git", "tar", "files"].map((name) => join(partial, name));
  mkdirSync(extracted);
  try {
    run("git", ["clone", "--quiet", "--bare", bundle, bare], "reading llama.cpp's bundle");
    run("git", ["-C", bare, "archive", "--output", archive, "HEAD", ...PARTS[parts]], "reading llama.cpp's bundle");
    run("cmake", ["-E", "tar", "xf", archive], "extracting llama.cpp", { cwd: extracted });
    if (!existsSync(target)) renameSync(extracted, target); // a concurrent build may have finished first
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return target;
}

