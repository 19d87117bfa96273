import { relative } from "node:path";
import { assertWritable } from "../lib/formats/index.js";
import { shownVariables } from "../lib/vector/index.js";

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

/** E.g. `chat, system message "Be brief."`. */
export function askedAs(
  { format, system, templateVariables = {} }: { format: string; system?: string | undefined; templateVariables?: object | undefined },
): string {
  const what = format === "chat" ? "system message" : "opening paragraph";
  return [
    format, ...(system === undefined ? [] : [`${what} ${JSON.stringify(system)}`]),
    ...(Object.keys(templateVariables).length === 0 ? [] : [shownVariables({ ...templateVariables })]),
  ].join(", ");
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Prints a line that is not part of the result. */
export function note(text: string, quiet: boolean): void {
  if (!quiet) process.stderr.write(`${text}\n`);
}

/** As `assertWritable`, and says which folder writing will create. */
export async function prepareOutput(path: string, inputs: readonly string[], quiet: boolean, how?: { inPieces: boolean }): Promise<void> {
  const created = await assertWritable(path, inputs, how);
  if (created !== undefined) note(`note: will create the folder ${relative("", created)} for ${path}`, quiet);
}

/** Says which folder was created for an output. */
export function createdFolder(folder: string, path: string): string {
  return `created the folder ${relative("", folder)} for ${path}`;
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
