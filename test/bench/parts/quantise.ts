import { spawnSync } from "node:child_process";
import { basename, join } from "node:path";
import { availableProcessors } from "../../../lib/engine/processors.js";
import { benchProgram, libraryEnvironment } from "./plain-loop.js";

/** Writes a copy of a model in another type into a folder, and returns its path. */
export function quantised(path: string, type: string, folder: string): string {
  const out = join(folder, `${basename(path, ".gguf")}-${type}.gguf`);
  const { status, stderr } = spawnSync(benchProgram("quantise"), [path, out, type, String(availableProcessors())], {
    encoding: "utf8", env: libraryEnvironment(),
  });
  if (status !== 0) throw new Error(`${path} cannot be written as ${type}: ${stderr.trim()}`);
  return out;
}
