import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { SteeringError } from "../errors.js";
import { RUN_FILE } from "./run-file.js";

/** List the runs in a folder: the folder itself if it holds a run, otherwise all runs below it, sorted by name. Throws E_NOT_FOUND. */
export function runsBelow(folder: string): string[] {
  if (existsSync(join(folder, RUN_FILE))) return [folder];
  const below = filesBelow(folder).filter((name) => basename(name) === RUN_FILE).map((name) => join(folder, dirname(name))).sort();
  if (below.length === 0) throw new SteeringError("E_NOT_FOUND", `there is no run in ${folder}`);
  return below;
}

function filesBelow(folder: string): string[] {
  try {
    return statSync(folder, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : [];
  } catch (cause) {
    throw new SteeringError("E_NOT_FOUND", `cannot list the runs below ${folder} (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
}
