import type { Argv } from "yargs";
import { SteeringError } from "../lib/index.js";

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
  return machineOptions(yargs.positional("model", { type: "string", demandOption: true, describe })) as unknown as Argv<T & ModelOptions>;
}

/** What a model is computed with. */
export function machineOptions<T>(yargs: Argv<T>): Argv<T & Pick<ModelOptions, "threads" | "gpuLayers">> {
  return yargs
    .option("threads", { type: "number", coerce: wholeNumber("threads", 1), describe: "CPU threads; default: one per core, fewer while other programs use some" })
    .option("gpu-layers", { type: "number", coerce: wholeNumber("gpu-layers", 0), describe: "Layers on the GPU; all by default where there is one" }) as unknown as Argv<T & Pick<ModelOptions, "threads" | "gpuLayers">>;
}

/** How the user can type this command again: it is on the PATH only where it is installed globally. */
export function commandName(): string {
  const byNpm = process.env["npm_command"] === "exec" || process.env["npm_lifecycle_event"] !== undefined;
  return byNpm ? "npx llama-steer" : "llama-steer";
}

/** For yargs' `coerce`: a whole number of at least `least`, checked before anything is loaded. */
export function wholeNumber(name: string, least: number): (value: unknown) => number | undefined {
  return (value) => {
    if (value === undefined || (Number.isInteger(value) && (value as number) >= least)) return value as number | undefined;
    throw new SteeringError("E_BAD_ARGUMENT", `--${name} must be one whole number of at least ${least}`);
  };
}

/** Only what is given: an option that is left out must not stand for a value. */
export function defined<T extends object>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: NonNullable<T[K]> };
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
