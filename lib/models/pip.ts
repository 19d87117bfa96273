import { spawn } from "node:child_process";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { SteeringError } from "../errors.js";
import { sizeOf, type OnProgress } from "./download.js";
import { stopped } from "./http.js";

/** A command line that starts pip. */
export type Pip = readonly [command: string, ...args: string[]];

const CANDIDATES: readonly Pip[] = [["python3", "-m", "pip"], ["python", "-m", "pip"], ["pip3"], ["pip"]];
const PROGRESS_INTERVAL_MS = 250;

export interface PipOptions {
  /** Called with the progress in bytes; pip does not report the total. */
  onProgress?: OnProgress | undefined;
  signal?: AbortSignal | undefined;
}

/** The first pip on PATH that runs, or undefined. */
export async function findPip(signal?: AbortSignal): Promise<Pip | undefined> {
  for (const candidate of CANDIDATES) {
    const { code } = await start(candidate, ["--version"], process.env, signal);
    if (code === 0) return candidate;
  }
  return undefined;
}

/**
 * Download one wheel with pip, from the user's configured index, into the emptied folder `folder`; returns the wheel's path.
 * Throws E_DOWNLOAD, E_ABORTED.
 */
export async function pipDownload(pip: Pip, requirement: string, folder: string, options: PipOptions): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const args = [
    "download", "--no-deps", "--no-binary=:none:", "--only-binary=:all:", "--no-cache-dir", "--retries=1",
    "--disable-pip-version-check", "--no-input", "--progress-bar=off", "--quiet", "-d", folder, requirement,
  ];
  // pip downloads to its temporary folder. With that folder here, its growth gives the progress, and nothing is left elsewhere.
  const env = { ...process.env, TMPDIR: folder, TEMP: folder, TMP: folder };
  const ended = new AbortController();
  const stop = (): void => ended.abort();
  options.signal?.addEventListener("abort", stop, { once: true });
  let failure: unknown;
  const watch = setInterval(() => void folderSize(folder).then((size) => options.onProgress?.(size, undefined)).catch((error: unknown) => {
    failure ??= error; // thrown by the caller's onProgress
    stop();
  }), PROGRESS_INTERVAL_MS);
  try {
    if (options.signal?.aborted) stop();
    const { code, lastLine } = await start(pip, args, env, ended.signal).catch((error: unknown) => { throw failure ?? error; });
    if (code !== 0) throw new SteeringError("E_DOWNLOAD", lastLine || `${pip.join(" ")} download ended with status ${code}`);
  } finally {
    clearInterval(watch);
    options.signal?.removeEventListener("abort", stop);
  }
  const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl"));
  if (!wheel) throw new SteeringError("E_DOWNLOAD", `pip downloaded no wheel for ${requirement}`);
  return join(folder, wheel);
}

/** Run a command without a shell; `code` is null if it could not be started or was killed. */
function start(
  pip: Pip, args: string[], env: NodeJS.ProcessEnv, signal: AbortSignal | undefined,
): Promise<{ code: number | null; lastLine: string }> {
  const [command, ...prefix] = pip;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(stopped());
    const child = spawn(command, [...prefix, ...args], { env, stdio: ["ignore", "ignore", "pipe"], windowsHide: true });
    const kill = () => child.kill();
    signal?.addEventListener("abort", kill, { once: true });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => { stderr = (stderr + text).slice(-4096); });
    child.on("error", () => { signal?.removeEventListener("abort", kill); resolve({ code: null, lastLine: "" }); });
    child.on("close", (code) => {
      signal?.removeEventListener("abort", kill);
      if (signal?.aborted) return reject(stopped());
      const lastLine = stderr.trim().split("\n").at(-1)?.replace(/^ERROR: /, "").trim() ?? "";
      resolve({ code, lastLine });
    });
  });
}

async function folderSize(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const sizes = await Promise.all(names.map((name) => sizeOf(join(folder, name))));
  return sizes.reduce((sum, size) => sum + size, 0);
}
