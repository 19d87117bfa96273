import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";

const CLI = fileURLToPath(new URL("../../bin/llama-steer.js", import.meta.url));
const CAN_SCRIPT = process.platform === "linux" && spawnSync("script", ["--version"]).status === 0;

/** Whether this machine can give a command a terminal: by `script` of util-linux. */
export function hasTerminal(): boolean {
  if (!CAN_SCRIPT) process.stderr.write("SKIPPED: tests in a terminal need Linux and util-linux' script\n");
  return CAN_SCRIPT || process.env["CI"] === "true"; // there, they fail
}

/** The command line in a terminal of its own. */
export interface Terminal extends AsyncDisposable {
  /** What it has written, without colours and movements. */
  readonly screen: string;
  /** Types keys. */
  type(keys: string): void;
  /** Waits until what was written after the last match matches; returns the match. */
  until(pattern: RegExp): Promise<string>;
  /** The exit code, once it has ended. */
  readonly ended: Promise<number | null>;
}

export interface TerminalOptions {
  cwd: string;
  columns?: number;
  env?: NodeJS.ProcessEnv;
}

const MOST_MS = 20_000;

export function openTerminal(args: readonly string[], { cwd, columns = 100, env }: TerminalOptions): Terminal {
  const quoted = [process.execPath, CLI, ...args].map((word) => `'${word}'`).join(" ");
  const command = `stty cols ${columns} rows 40; exec ${quoted}`;
  const child = spawn("script", ["--quiet", "--flush", "--return", "--command", command, "/dev/null"], {
    cwd, env: { ...process.env, TERM: "xterm-256color", NO_COLOR: undefined, FORCE_COLOR: undefined, CI: undefined, ...env },
  });
  let [raw, seen] = ["", 0];
  const waiting = new Set<() => void>();
  child.stdout.on("data", (data: Buffer) => {
    raw += data.toString();
    for (const each of waiting) each();
  });
  child.stdin.on("error", () => undefined);
  const ended = new Promise<number | null>((resolve, reject) => { child.on("error", reject).on("close", resolve); });
  const text = (): string => stripVTControlCharacters(raw).replaceAll("\r", "");
  return {
    get screen() { return raw; },
    ended,
    type: (keys) => void child.stdin.write(keys),
    until: (pattern) => new Promise((resolve, reject) => {
      const timer = setTimeout(() => end(() => reject(new Error(`no ${String(pattern)} in:\n${text().slice(seen)}`))), MOST_MS);
      const look = (): void => {
        const match = pattern.exec(text().slice(seen));
        if (!match) return;
        seen += match.index + match[0].length;
        end(() => resolve(match[0]));
      };
      const end = (how: () => void): void => {
        clearTimeout(timer);
        waiting.delete(look);
        how();
      };
      waiting.add(look);
      look();
    }),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await ended.catch(() => undefined);
    },
  };
}
