import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { SteeringError } from "../lib/index.js";

/** The folder itself if it is a run's, else all runs below it. Throws E_NOT_FOUND. */
export function runsBelow(folder: string): string[] {
  if (existsSync(join(folder, "run.json"))) return [folder];
  const isFolder = statSync(folder, { throwIfNoEntry: false })?.isDirectory();
  const below = isFolder ? readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => basename(name) === "run.json").map((name) => join(folder, dirname(name))).sort() : [];
  if (below.length === 0) throw new SteeringError("E_NOT_FOUND", `there is no run in ${folder}`);
  return below;
}
