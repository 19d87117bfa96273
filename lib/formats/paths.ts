import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { packageRoot as root } from "#native/prebuilt";
import { SteeringError } from "../errors.js";

/** Folder of the installed package; in an Electron application, the unpacked one with real files. */
export function packageRoot(): string {
  return root;
}

/** Folder of downloaded models: `LLAMA_STEER_HOME`, else the platform's cache folder. Throws E_NOT_FOUND if the user has no home. */
export function homeFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env["LLAMA_STEER_HOME"]) return resolve(env["LLAMA_STEER_HOME"]);
  if (env["XDG_CACHE_HOME"]) return join(resolve(env["XDG_CACHE_HOME"]), "llama-steer");
  if (process.platform === "win32" && env["LOCALAPPDATA"]) return join(env["LOCALAPPDATA"], "llama-steer");
  if (process.platform === "darwin") return join(userHome(), "Library", "Caches", "llama-steer");
  return join(userHome(), ".cache", "llama-steer");
}

function userHome(): string {
  try {
    return homedir();
  } catch (cause) {
    throw new SteeringError("E_NOT_FOUND", `this user has no home folder (${(cause as Error).message}); set LLAMA_STEER_HOME`, { cause });
  }
}

/** Version of this package. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as { version: string }).version;
}
