import { spawnSync } from "node:child_process";
import {
  closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What a proof cannot do without; the proof is skipped, and this says why. */
export class Missing extends Error {}

/** Unpacks what npm would publish into a user's project, with its dependencies. Returns the package's folder there. */
export function stagePackage(root: string, folder: string): string {
  const installed = join(folder, "node_modules", "llama-steer");
  mkdirSync(installed, { recursive: true });
  run(["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", folder], { cwd: root });
  const archive = readdirSync(folder).find((name) => name.endsWith(".tgz"))!;
  run(["tar", "xf", join(folder, archive), "-C", installed, "--strip-components=1"], {});
  symlinkSync(join(root, "node_modules"), join(installed, "node_modules"));
  const backends = join(root, "build", "backends"); // platform packages of node-llama-cpp that npm does not install here
  if (existsSync(backends)) symlinkSync(backends, join(installed, "build", "backends"));
  return installed;
}

/** Fetches one of npm's packages into `folder`, once. Returns its folder. Throws Missing if it cannot be had. */
export function fetchPackage(specifier: string, folder: string): string {
  const target = join(folder, specifier.replaceAll("/", "+"));
  if (existsSync(target)) return target;
  const archives = `${target}.partial`;
  mkdirSync(archives, { recursive: true });
  try {
    run(["npm", "pack", "--silent", "--pack-destination", archives, specifier], {});
  } catch {
    throw new Missing(`npm's registry has no ${specifier}`);
  }
  mkdirSync(target);
  run(["tar", "xf", join(archives, readdirSync(archives)[0]!), "-C", target, "--strip-components=1"], {});
  return target;
}

/**
 * Runs a program to its end and returns what it printed. Its output goes to files, since under Wine Node cannot write to a pipe.
 *
 * @throws Missing if there is no such program, Error with its output if it fails
 */
export function run([program, ...args]: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv }): string {
  const outputs = mkdtempSync(join(tmpdir(), "llama-steer-output-"));
  const base = join(outputs, "stream");
  const [out, err] = [openSync(`${base}-1`, "w"), openSync(`${base}-2`, "w")];
  const { error, status, signal } = spawnSync(program!, args, { ...options, stdio: ["ignore", out, err] });
  closeSync(out);
  closeSync(err);
  const [stdout, stderr] = [`${base}-1`, `${base}-2`].map((path) => readFileSync(path, "utf8"));
  rmSync(outputs, { recursive: true });
  if ((error as NodeJS.ErrnoException | undefined)?.code === "ENOENT") throw new Missing(`${program} is not installed`);
  if (status !== 0) throw new Error(`${[program, ...args].join(" ")} ended with ${status ?? signal}:\n${stdout}${stderr}`);
  return `${stdout}${stderr}`;
}

/** A folder on whose PATH there are Node, npm and a shell, and nothing to build with. */
export function barePath(folder: string): string {
  const bin = join(folder, "bin");
  mkdirSync(bin);
  const npm = run(["which", "npm"], {}).trim();
  for (const [name, path] of [["node", process.execPath], ["npm", npm], ["sh", "/bin/sh"]] as const) symlinkSync(path, join(bin, name));
  return bin;
}

/** A script that starts a program with arguments before its own. */
export function writeWrapper(path: string, command: readonly string[]): string {
  writeFileSync(path, `#!/bin/sh\nexec ${command.map((word) => `'${word}'`).join(" ")} "$@"\n`, { mode: 0o755 });
  return path;
}
