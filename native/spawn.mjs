// Starts other programs from the build scripts.
import { spawnSync } from "node:child_process";
import { APK, lacksGlibc } from "./prebuilt.mjs";

/** A build that cannot succeed; its message is for the user. */
export class BuildError extends Error {}

/** What a program prints. Throws a BuildError that says what the program was needed for. */
export function run(command, args, what, options = {}) {
  const result = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 28, ...options });
  if (result.error?.code === "ENOENT") throw new BuildError(`${command} not found; ${what} needs it. ${howToInstall()}`);
  if (result.error) throw new BuildError(`${what} failed: ${result.error.message}`);
  if (result.status !== 0) {
    const output = `${result.stdout ?? ""}${result.stderr ?? ""}`.trim().split("\n").slice(-30).join("\n");
    throw new BuildError(`${what} failed (exit ${result.status}):\n${output}`);
  }
  return result.stdout;
}

/** How to get the tools of a build. */
export function howToInstall() {
  if (process.platform === "darwin") return "Install it with: xcode-select --install && brew install cmake git";
  if (process.platform === "win32") return "Install Git, CMake and the Visual Studio Build Tools (C++ workload).";
  if (lacksGlibc()) return `Install it with your package manager, e.g. on Alpine: ${APK}`;
  return "Install it with your package manager, e.g. on Debian and Ubuntu: sudo apt-get install build-essential cmake git";
}

/**
 * Arguments of `spawnSync` for a program. On Windows npm is a script that only a shell can start. A shell splits arguments at spaces, so
 * arguments that would need quotes are refused: pass paths relative to `cwd`. No other program runs in a shell.
 */
export function spawnArguments(command, args, platform = process.platform) {
  const shell = command === "npm" && platform === "win32";
  const unsafe = shell ? args.find((arg) => !/^[\w@.,:/=+-]+$/.test(arg)) : undefined;
  if (unsafe !== undefined) throw new Error(`cannot pass ${JSON.stringify(unsafe)} to npm: a shell would split it`);
  return [command, args, { shell }];
}
