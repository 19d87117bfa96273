import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { packageRoot as root } from "#native/prebuilt";

/** Folder of the installed package, of real files in an Electron application too. */
export function packageRoot(): string {
  return root;
}

/** Folder of downloaded models: `LLAMA_STEER_HOME`, else the platform's cache folder. */
export function homeFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env["LLAMA_STEER_HOME"]) return resolve(env["LLAMA_STEER_HOME"]);
  if (env["XDG_CACHE_HOME"]) return join(resolve(env["XDG_CACHE_HOME"]), "llama-steer");
  if (process.platform === "win32" && env["LOCALAPPDATA"]) return join(env["LOCALAPPDATA"], "llama-steer");
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches", "llama-steer");
  return join(homedir(), ".cache", "llama-steer");
}

/** Version of this package. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as { version: string }).version;
}
