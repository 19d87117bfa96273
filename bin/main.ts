import colours from "picocolors";
import yargs from "yargs";
import { SteeringError } from "../lib/index.js";
import { addOption, namesOf, OUTPUT } from "./command.js";
import { commandName } from "./common.js";
import { COMMANDS } from "./commands/index.js";
import { EXIT, exitCode } from "./exit-codes.js";

class UsageError extends Error {}

/** Runs the command line and returns the exit code. A failure prints one message on stderr, and a stack trace only with --debug. */
export async function main(args: string[]): Promise<number> {
  // `llama-steer models list | head -1` closes the pipe early, which is not a failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.failure));
  try {
    await parser(args).parseAsync();
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    return report(error as Error, args);
  }
}

function parser(args: string[]) {
  const command = yargs(args)
    .scriptName("llama-steer")
    .locale("en")
    .usage("$0 <command>\n\nSteer local language models: extract a behaviour as a vector, add it while the model generates.")
    .group(["help", "version"], "Global options:");
  for (const [name, option] of Object.entries(OUTPUT)) addOption(command, name, option).global(name);
  for (const { module } of COMMANDS) command.command(module);
  return command
    .completion("completion", "Print a script for shell completion")
    .demandCommand(1, `expected a command: ${namesOf(COMMANDS)}`)
    .strict()
    .recommendCommands()
    .wrap(Math.min(110, process.stdout.columns ?? 100))
    .epilogue("Exit codes: 0 done, 1 failure, 2 usage, 3 bad input, 4 download, 5 installation, 130 interrupted.\n"
      + "docs/errors.md explains each error.")
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new UsageError(explained(message, args));
    });
}

/** yargs' message, and what is wrong with the command or the prompt where yargs does not say so. */
function explained(message: string, args: string[]): string {
  const [word = "", subword = ""] = args.filter((arg) => !arg.startsWith("-"));
  const command = COMMANDS.find(({ name }) => name === word);
  const commands = command?.commands ?? [];
  if (message.startsWith("Did you mean")) return `unknown command "${commands.length > 0 ? subword : word}". ${message}`;
  if (!message.startsWith("Unknown argument")) return message;
  if (commands.length > 0 && commands.every(({ name }) => name !== "$0" && name !== subword)) {
    return `unknown command "${word} ${subword}"; expected one of: ${namesOf(commands)}`;
  }
  return command?.usage.endsWith("<prompt>") ? `${message}. Put a prompt of several words in quotes` : message;
}

function report(error: Error, args: string[]): number {
  const isOurs = error instanceof SteeringError;
  const isUsage = error instanceof UsageError || error.name === "YError";
  const code = isOurs ? ` [${error.code}]` : "";
  const message = isOurs && error.code === "E_ABORTED" ? `interrupted: ${error.message}` : error.message;
  process.stderr.write(`${colours.red("llama-steer:")} ${message}${code}\n`);
  if (isUsage) process.stderr.write(`Try: ${commandName()} --help\n`);
  if (args.includes("--debug")) process.stderr.write(`${error.stack}\n`);
  else if (!isOurs && !isUsage) process.stderr.write("This is a bug in llama-steer; please report it with the output of --debug.\n");
  if (isOurs) return exitCode(error.code);
  return isUsage ? EXIT.usage : EXIT.failure;
}
