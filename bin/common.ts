import type { Argv } from "yargs";

/** Options of every command. */
export interface OutputOptions {
  json: boolean;
  quiet: boolean;
}

/** Options of every command that loads a model. */
export interface ModelOptions extends OutputOptions {
  model: string;
  threads: number | undefined;
  gpuLayers: number | undefined;
}

/** The model positional and how to run it. */
export function modelOptions<T>(yargs: Argv<T>, describe = "Name of `models list`, path of a GGUF, or hf:owner/repo/file.gguf"): Argv<T & ModelOptions> {
  return yargs
    .positional("model", { type: "string", demandOption: true, describe })
    .option("threads", { type: "number", describe: "CPU threads; all by default" })
    .option("gpu-layers", { type: "number", describe: "Layers on the GPU; all by default where there is one" }) as unknown as Argv<T & ModelOptions>;
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** A line for the user that is no result. */
export function note(text: string, quiet: boolean): void {
  if (!quiet) process.stderr.write(`${text}\n`);
}

/** Ctrl-C aborts the work in an orderly way; a second one ends the process at once. */
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
