import { models as modelsApi, SteeringError, type ModelEntry } from "../../lib/index.js";
import { command, group, options, type OutputOptions, type Values } from "../command.js";
import { interruptible, print } from "../common.js";
import { modelState, pullWithProgress } from "../open-model.js";
import { file } from "../options.js";
import { megabytes } from "../progress.js";
import { onStdout } from "../colours.js";
import { labelled, widthOf } from "../wrapped.js";

const list = command({
  usage: "list",
  describe: "List the models that can be used by name",
  options: {},
  run: ({ json }) => {
    const models = modelsApi.list();
    print(json ? JSON.stringify(models.map(listed), null, 2) : models.map(describe).join("\n"));
  },
});

const PULL = options({
  names: { type: "string", array: true, describe: "Names from `models list`, or hf: addresses" },
  all: { type: "boolean", describe: "Download every model of `models list` that can be steered" },
  force: { type: "boolean", describe: "Download models again that are already there" },
});

const pull = command({
  usage: "pull [names..]",
  describe: "Download models; an interrupted download is resumed",
  options: PULL,
  examples: [
    ["models pull smollm2-135m", "98 MB, answers in English"],
    ["models pull hf:owner/repo/model.gguf", "any GGUF on Hugging Face"],
  ],
  run: (given) => interruptible((signal) => runPull(given, signal)),
});

const path = command({
  usage: "path <name>",
  describe: "Print the path of a downloaded model",
  options: { name: { ...file, describe: "Model: a name from `models list`, an hf: address, or a path" } },
  examples: [["models path smollm2-135m"]],
  run: async ({ name, json }) => {
    const path = await modelsApi.resolve(name);
    print(json ? JSON.stringify({ name, path }) : path);
  },
});

export default group("models", "List, download and locate models", [list, pull, path]);

async function runPull({ names, all, force, json, quiet }: Values<typeof PULL> & OutputOptions, signal: AbortSignal): Promise<void> {
  const models = all ? modelsApi.list().filter(({ purpose }) => purpose === "generate") : names.map(modelsApi.find);
  if (models.length === 0) {
    const known = modelsApi.list().map((model) => model.name);
    throw new SteeringError("E_BAD_ARGUMENT", `no model is named; expected names (${known.join(", ")}), hf: addresses, or --all`);
  }
  const pulled: { name: string; path: string }[] = [];
  for (const model of models) {
    const path = await pullWithProgress(model, { force, quiet, signal });
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
  const { name, title, quantisation, size, purpose, licence, chatTemplate } = model;
  const state = (modelsApi.isInstalled(model) ? onStdout.green : onStdout.dim)(modelState(model));
  const sizeText = size === undefined ? "" : `${megabytes(size)}, `;
  const about = `${title}, ${quantisation}, ${sizeText}${PURPOSES[purpose]}${state}\nlicence: ${licence.name}; chat template: ${chatTemplate}`;
  const margin = Math.max(NAME_WIDTH, name.length) + 1;
  return labelled(onStdout.bold(name), about, margin, widthOf(process.stdout));
}
