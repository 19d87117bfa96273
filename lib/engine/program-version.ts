import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { packageVersion } from "../formats/index.js";
import { addon, findInstallation } from "../native/index.js";

/** The compiled library, which this file is part of. */
const LIBRARY = fileURLToPath(new URL("..", import.meta.url));

let codeOnce: Promise<string> | undefined;

/** A hash of what computes: the compiled library, the addon, llama.cpp and this machine's devices. */
export async function programVersion(): Promise<string> {
  const devices = addon().devices().map(({ name, description }) => ({ name, description }));
  return createHash("sha256").update(JSON.stringify([await (codeOnce ??= codeHash()), devices])).digest("hex");
}

/** The package's version alone would not tell apart what a checkout has changed since. */
async function codeHash(): Promise<string> {
  const { built, addonPath } = findInstallation();
  const hash = createHash("sha256").update(JSON.stringify([packageVersion(), built]));
  const names = (await readdir(LIBRARY, { recursive: true })).filter((name) => name.endsWith(".js")).sort();
  for (const path of [...names.map((name) => join(LIBRARY, name)), addonPath]) hash.update(await readFile(path));
  return hash.digest("hex");
}
