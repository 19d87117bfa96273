import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { SteeringError } from "../errors.js";
import { RUN_FILE } from "./run-file.js";

/** The folder itself if it is a run's, else all runs below it, by name. Throws E_NOT_FOUND. */
export function runsBelow(folder: string): string[] {
  if (existsSync(join(folder, RUN_FILE))) return [folder];
  const isFolder = statSync(folder, { throwIfNoEntry: false })?.isDirectory();
  const below = isFolder ? readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => basename(name) === RUN_FILE).map((name) => join(folder, dirname(name))).sort() : [];
  if (below.length === 0) throw new SteeringError("E_NOT_FOUND", `there is no run in ${folder}`);
  return below;
}
