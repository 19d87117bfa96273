import colours from "picocolors";
import yargs from "yargs";
import { SteeringError } from "../lib/index.js";
import { commandName } from "./common.js";
import { calibrateCommand } from "./commands/calibrate.js";
import { captureCommand } from "./commands/capture.js";
import { datasetsCommand } from "./commands/datasets.js";
import { demoCommand } from "./commands/demo.js";
import { doctorCommand } from "./commands/doctor.js";
import { evaluateCommand } from "./commands/evaluate.js";
import { experimentCommand } from "./commands/experiment.js";
import { extractCommand } from "./commands/extract.js";
import { generateCommand } from "./commands/generate.js";
import { inspectCommand } from "./commands/inspect.js";
import { modelsCommand } from "./commands/models.js";
import { probeCommand } from "./commands/probe.js";
import { reportCommand } from "./commands/report.js";
import { resultsCommand } from "./commands/results.js";
import { traceCommand } from "./commands/trace.js";
import { vectorCommand } from "./commands/vector.js";
import { EXIT, exitCode } from "./exit-codes.js";

class UsageError extends Error {}

/** Run the command line; returns the exit code. Every failure is one message on stderr, with a stack only under --debug. */
export async function main(args: string[]): Promise<number> {
  // `llama-steer models list | head -1` closes the pipe early: that is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.failure));
  try {
    await parser(args).parseAsync();
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    return report(error as Error, args.includes("--debug"));
  }
}

function parser(args: string[]) {
  return yargs(args)
    .scriptName("llama-steer")
    .usage("$0 <command>\n\nSteer local language models: extract a behaviour as a vector, add it back while the model generates.")
    .option("json", { type: "boolean", default: false, global: true, describe: "Results as JSON on stdout" })
    .option("quiet", { type: "boolean", default: false, global: true, describe: "No progress and no notices" })
    .option("debug", { type: "boolean", default: false, global: true, describe: "Show a stack trace with an error" })
    .command(demoCommand)
    .command(modelsCommand)
    .command(extractCommand)
    .command(calibrateCommand)
    .command(generateCommand)
    .command(traceCommand)
    .command(captureCommand)
    .command(vectorCommand)
    .command(probeCommand)
    .command(experimentCommand)
    .command(evaluateCommand)
    .command(resultsCommand)
    .command(reportCommand)
    .command(datasetsCommand)
    .command(inspectCommand)
    .command(doctorCommand)
    .completion("completion", "Print a script for shell completion")
    .demandCommand(1, "expected a command: demo, models, extract, calibrate, generate, trace, experiment, evaluate, results, report, datasets, capture, vector, probe, inspect, doctor")
    .check(givenOnce)
    .strict()
    .recommendCommands()
    .wrap(Math.min(110, process.stdout.columns ?? 100))
    .epilogue("Exit codes: 0 done, 1 failure, 2 usage, 3 bad input, 4 download, 5 installation, 130 interrupted. docs/errors.md explains each error.")
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new UsageError(named(message, args));
    });
}

/** Arguments that may hold several texts. */
const LISTS = new Set(["_", "monitor", "names", "probe", "runs", "shards", "steer", "stop", "strategies", "vector", "vectors"]);

/** yargs makes a list of an option that is given twice, which no command expects. */
function givenOnce(argv: Record<string, unknown>): boolean {
  for (const [name, value] of Object.entries(argv)) {
    if (Array.isArray(value) && !LISTS.has(name) && value.some((each) => typeof each !== "number")) throw new UsageError(`--${name} is given twice`);
  }
  return true;
}

/** Commands that have commands of their own. */
const GROUPS: Record<string, string[]> = {
  models: ["list", "pull", "path"], experiment: ["single", "compose", "plan"], results: ["show", "export", "import", "merge"], datasets: ["list", "show", "check", "import"],
  probe: ["train", "inspect", "text"], vector: ["convert", "inspect", "combine", "diff"],
};

/** yargs suggests a command without saying what is wrong with the one that was given. */
function named(message: string, args: string[]): string {
  const words = args.filter((arg) => !arg.startsWith("-"));
  const group = GROUPS[words[0] ?? ""];
  if (message.startsWith("Did you mean")) return `unknown command "${group ? words[1] : words[0]}". ${message}`;
  if (message.startsWith("Unknown argument") && group && !group.includes(words[1] ?? "")) return `unknown command "${words[0]} ${words[1]}"; expected one of: ${group.join(", ")}`;
  if (message.startsWith("Unknown argument") && ["generate", "trace"].includes(words[0] ?? "")) return `${message}. A prompt of several words needs quotes`;
  return message;
}

function report(error: Error, debug: boolean): number {
  const isOurs = error instanceof SteeringError;
  const isUsage = error instanceof UsageError || error.name === "YError";
  const code = isOurs ? ` [${error.code}]` : "";
  const message = isOurs && error.code === "E_ABORTED" ? `interrupted: ${error.message}` : error.message;
  process.stderr.write(`${colours.red("llama-steer:")} ${message}${code}\n`);
  if (isUsage) process.stderr.write(`Try: ${commandName()} --help\n`);
  if (debug) process.stderr.write(`${error.stack}\n`);
  else if (!isOurs && !isUsage) process.stderr.write("This is a bug in llama-steer; run again with --debug for the stack.\n");
  if (isOurs) return exitCode(error.code);
  return isUsage ? EXIT.usage : EXIT.failure;
}
