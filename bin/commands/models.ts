import colours from "picocolors";
import type { Argv, ArgumentsCamelCase, CommandModule } from "yargs";
import { models as modelsApi, SteeringError, type ModelEntry } from "../../lib/index.js";
import { isOwn } from "../../lib/models/index.js";
import { interruptible, print, type OutputOptions } from "../common.js";
import { megabytes } from "../progress.js";
import { pullWithProgress } from "../open-model.js";

interface PullArguments extends OutputOptions {
  names: string[];
  all: boolean;
  force: boolean;
}

interface PathArguments extends OutputOptions {
  name: string;
}

const listCommand: CommandModule<OutputOptions, OutputOptions> = {
  command: "list",
  describe: "Show the models that can be used by name",
  handler: ({ json }) => {
    const models = modelsApi.list();
    print(json ? JSON.stringify(models.map(listed), null, 2) : models.map(describe).join("\n"));
  },
};

const pullCommand: CommandModule<OutputOptions, PullArguments> = {
  command: "pull [names..]",
  describe: "Download models; an interrupted download is resumed",
  builder: (yargs) => yargs
    .positional("names", { type: "string", array: true, default: [] as string[], describe: "Names of `models list`, or hf: addresses" })
    .option("all", { type: "boolean", default: false, describe: "Every model of `models list` that can be steered" })
    .option("force", { type: "boolean", default: false, describe: "Download again what is there already" })
    .example("$0 models pull smollm2-135m", "98 MB, answers in English")
    .example("$0 models pull hf:owner/repo/model.gguf", "any GGUF of Hugging Face") as Argv<PullArguments>,
  handler: runPull,
};

const pathCommand: CommandModule<OutputOptions, PathArguments> = {
  command: "path <name>",
  describe: "Print where a downloaded model lies",
  builder: (yargs) => yargs
    .positional("name", { type: "string", demandOption: true, describe: "Name, hf: address or file" })
    .example("$0 models path smollm2-135m", "") as Argv<PathArguments>,
  handler: async ({ name, json }) => {
    const path = await modelsApi.resolve(name);
    print(json ? JSON.stringify({ name, path }) : path);
  },
};

/** `llama-steer models list|pull|path`; errors are left to the caller of yargs. */
export const modelsCommand: CommandModule<object, OutputOptions> = {
  command: "models",
  describe: "List, download and find models",
  builder: (yargs) => (yargs as Argv<OutputOptions>)
    .command(listCommand)
    .command(pullCommand)
    .command(pathCommand)
    .demandCommand(1, "expected one of: list, pull, path"),
  handler: () => {},
};

async function runPull({ names, all, force, json, quiet }: ArgumentsCamelCase<PullArguments>): Promise<void> {
  const models = all ? modelsApi.list().filter(({ purpose }) => purpose === "generate") : names.map(modelsApi.find);
  if (models.length === 0) {
    const known = modelsApi.list().map((model) => model.name);
    throw new SteeringError("E_BAD_ARGUMENT", `which model? Give names (${known.join(", ")}), an hf: address, or --all`);
  }
  const pulled: { name: string; path: string }[] = [];
  for (const model of models) {
    const path = await interruptible((signal) => pullWithProgress(model, { force, quiet, signal }));
    pulled.push({ name: model.name, path });
    if (!json) print(path);
  }
  if (json) print(JSON.stringify(pulled, null, 2));
}

const NAME_WIDTH = 17;
const PURPOSES = { generate: "", guard: "judges answers, ", classify: "classifies texts, " } as const;

function listed(model: ModelEntry): object {
  const { name, purpose, title, quantisation, size, licence, chatTemplate } = model;
  const installed = modelsApi.isInstalled(model);
  return { name, purpose, title, quantisation, size: size ?? null, licence, chatTemplate, installed, path: modelsApi.path(model) };
}

function describe(model: ModelEntry): string {
  const state = isOwn(model) ? colours.green("in the package") : modelsApi.isInstalled(model) ? colours.green("downloaded") : colours.dim("not downloaded");
  return [
    `${colours.bold(model.name.padEnd(NAME_WIDTH))} ${model.title}, ${model.quantisation}, ${model.size === undefined ? "" : `${megabytes(model.size)}, `}${PURPOSES[model.purpose]}${state}`,
    `${" ".repeat(NAME_WIDTH)} licence: ${model.licence.name}; chat template: ${model.chatTemplate}`,
  ].join("\n");
}
