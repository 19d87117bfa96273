import type { Command } from "../command.js";

/** The commands in the order of `--help`. A new command is a file in this folder and one name here. */
const NAMES = [
  "demo", "serve", "models", "extract", "calibrate", "chat", "generate", "trace", "capture", "vector",
  "vectors", "probe", "experiment", "evaluate", "results", "report", "datasets", "inspect", "rpc-server", "doctor",
] as const;

/** The command of this name alone, since loading all takes a while; all of them for another word, or for none. */
export async function loadCommands(name?: string): Promise<readonly Command[]> {
  const named = NAMES.filter((each) => each === name);
  const commands: Command[] = [];
  for (const each of named.length > 0 ? named : NAMES) commands.push((await import(`./${each}.js`) as { default: Command }).default);
  return commands;
}
