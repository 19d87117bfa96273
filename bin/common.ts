/** How the user can type this command again: it is on the PATH only if it is installed globally. */
export function commandName(): string {
  const byNpm = process.env["npm_command"] === "exec" || process.env["npm_lifecycle_event"] !== undefined;
  return byNpm ? "npx llama-steer" : "llama-steer";
}

/** The values without those that are undefined. */
export function defined<T extends object>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: NonNullable<T[K]> };
}

/** E.g. "1 token", "2 tokens". */
export function counted(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Prints a line that is not part of the result. */
export function note(text: string, quiet: boolean): void {
  if (!quiet) process.stderr.write(`${text}\n`);
}

/** The first Ctrl-C aborts `work` in an orderly way; the second ends the process at once. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  const onInterrupt = () => abort.abort();
  process.once("SIGINT", onInterrupt);
  try {
    return await work(abort.signal);
  } finally {
    process.off("SIGINT", onInterrupt);
  }
}
