import { spawn } from "node:child_process";

export class CommandFailed extends Error {
  constructor(readonly command: string, readonly output: string) {
    super(`${command} failed`);
  }
}

const isWindows = process.platform === "win32";

/**
 * What a command prints to standard output. The signal ends it with all that it started.
 *
 * @throws CommandFailed with what it printed
 */
export async function outputOf(
  command: string, args: readonly string[],
  { cwd, env, signal, input }: { cwd?: string; env?: NodeJS.ProcessEnv; signal: AbortSignal; input?: string },
): Promise<string> {
  signal.throwIfAborted();
  // Under a sanitiser's library, which the sanitised addon needs in Node, git hangs.
  const tools = command === process.execPath ? {} : { LD_PRELOAD: undefined };
  const child = spawn(command, args, { cwd, env: { ...process.env, ...tools, ...env }, detached: !isWindows, stdio: "pipe" });
  const stop = (): void => { if (child.pid !== undefined) process.kill(isWindows ? child.pid : -child.pid, "SIGTERM"); };
  signal.addEventListener("abort", stop);
  const printed: Record<"stdout" | "all", string> = { stdout: "", all: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => { printed.stdout += text; printed.all += text; });
  child.stderr.setEncoding("utf8").on("data", (text: string) => { printed.all += text; });
  child.stdin.on("error", () => undefined).end(input); // one that ends early does not read it
  try {
    const status = await new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve));
    signal.throwIfAborted();
    if (status !== 0) throw new CommandFailed([command, ...args].join(" "), printed.all.trim());
    return printed.stdout;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") throw new CommandFailed(command, `${command} was not found`);
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
