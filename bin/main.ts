import yargs from "yargs";
import { nearestName } from "../lib/formats/index.js";
import { SteeringError } from "../lib/index.js";
import { addOption, camelCase, namesOf, OUTPUT, type Command } from "./command.js";
import { commandName } from "./common.js";
import { loadCommands } from "./commands/index.js";
import { EXIT, exitCode } from "./exit-codes.js";
import { onStderr } from "./colours.js";

class UsageError extends Error {}

/** Runs the command line and returns the exit code. A failure prints one message on stderr, and a stack trace only with --debug. */
export async function main(args: string[]): Promise<number> {
  const commands = await loadCommands(args[0]);
  try {
    await parser(commands, args).parseAsync();
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    return report(error as Error, commands, args);
  }
}

function parser(commands: readonly Command[], args: string[]) {
  const command = yargs(args)
    .scriptName("llama-steer")
    .locale("en")
    .updateStrings({ "Show help": "Print this help", "Show version number": "Print the version" })
    .usage("$0 <command>\n\nSteer local language models: extract a behaviour as a vector, add it while the model generates.")
    .group(["help", "version"], "Global options:");
  for (const [name, option] of Object.entries(OUTPUT)) addOption(command, name, option).global(name);
  for (const { module } of commands) command.command(module);
  return command
    .completion("completion", "Print a script for shell completion")
    .demandCommand(1, `expected a command: ${namesOf(commands)}`)
    .strict()
    .recommendCommands()
    .wrap(Math.min(110, process.stdout.columns ?? 100))
    .epilogue("Exit codes: 0 done, 1 failure, 2 usage, 3 bad input, 4 download, 5 installation, 130 interrupted.\n"
      + "docs/errors.md explains each error.")
    .exitProcess(false)
    .fail((message, error: Error | undefined) => {
      throw error && error.name !== "YError" ? error : new UsageError(explained(error?.message ?? message, commands, args));
    });
}

/** The command that the arguments name, the words that name it, and all words. */
function commandOf(commands: readonly Command[], args: string[]): { command: Command | undefined; path: string[]; words: string[] } {
  const words = args.filter((arg) => !arg.startsWith("-"));
  const command = commands.find(({ name }) => name === words[0]);
  const member = command?.commands.find(({ name }) => name === words[1]);
  return { command: member ?? command, path: [command, member].flatMap((each) => (each ? [each.name] : [])), words };
}

/** The messages of yargs in the words of our own errors. */
function explained(message: string, commands: readonly Command[], args: string[]): string {
  const { command, path, words } = commandOf(commands, args);
  const members = command ? command.commands : commands;
  const fallback = members.find(({ name }) => name === "$0");
  const usage = fallback ? [...path, fallback.usage.replace("$0 ", "")] : [...path.slice(0, -1), command?.usage];
  const unknown = `unknown command "${words.slice(0, path.length + 1).join(" ")}"`;

  const [, kind = "", list = ""] = /^(.*?):\s+(.*)$/s.exec(message) ?? [];
  if (message.startsWith("Did you mean")) return `${unknown}. ${message}`;
  switch (kind) {
    case "Missing required argument":
    case "Missing required arguments": return `missing: ${list.split(", ").map((name) => `--${name}`).join(", ")}`;
    case "Not enough arguments following": return `${asTyped(list, args)[0]} needs a value`;
    case "Not enough non-option arguments": return command ? `too few arguments; expected: llama-steer ${usage.join(" ")}` : message;
    case "Invalid values": return list.replace(/^Argument: (.*?), Given: (.*?), Choices: /, "$1 cannot be $2; expected one of: ");
    case "Unknown argument":
    case "Unknown arguments":
      if (members.length > 0 && !fallback) return `${unknown}; expected one of: ${namesOf(members)}`;
      return unknownArguments(command, asTyped(list, args));
    default: return message;
  }
}

/** The names in a message of yargs as they were typed; yargs lists an option's camel case, too. */
function asTyped(list: string, args: string[]): string[] {
  const names = list.split(", ");
  const derived = new Set(names.map(camelCase).filter((name, index) => name !== names[index]));
  const typed = args.map((arg) => arg.split("=")[0]!);
  return names.filter((name) => !derived.has(name) || typed.includes(`--${name}`))
    .map((name) => [`--${name}`, `-${name}`].find((option) => typed.includes(option)) ?? name);
}

/** An unknown option with the most similar known one, or what to do about the words of a prompt that arrive one by one. */
function unknownArguments(command: Command | undefined, names: string[]): string {
  const known = Object.keys({ ...OUTPUT, ...command?.options });
  const near = names.filter((name) => name.startsWith("-")).map((name) => nearestName(name.replace(/^-+/, ""), known));
  const found = near.find((name) => name !== undefined);
  const isPrompt = near.length === 0 && command?.usage.endsWith("[prompt]");
  const hint = found !== undefined ? `; did you mean --${found}?` : isPrompt ? ". Put a prompt of several words in quotes" : "";
  return `unknown: ${names.join(", ")}${hint}`;
}

function report(error: Error, commands: readonly Command[], args: string[]): number {
  const isOurs = error instanceof SteeringError;
  const isUsage = error instanceof UsageError;
  const code = isOurs ? ` [${error.code}]` : "";
  const message = isOurs && error.code === "E_ABORTED" ? `interrupted: ${error.message}` : error.message;
  process.stderr.write(`${onStderr.red("llama-steer:")} ${message}${code}\n`);
  if (isUsage) process.stderr.write(`Try: ${[commandName(), ...commandOf(commands, args).path].join(" ")} --help\n`);
  if (args.includes("--debug")) process.stderr.write(`${error.stack}\n`);
  else if (!isOurs && !isUsage) process.stderr.write("This is a bug in llama-steer; please report it with the output of --debug.\n");
  if (isOurs) return exitCode(error.code);
  return isUsage ? EXIT.usage : EXIT.failure;
}
