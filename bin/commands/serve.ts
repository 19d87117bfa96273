import { join } from "node:path";
import { homeFolder } from "../../lib/formats/index.js";
import { models, SteeringError } from "../../lib/index.js";
import { serve } from "../../lib/server.js";
import { isOwn } from "../../lib/models/index.js";
import { onStderr } from "../colours.js";
import { command, options, type OutputOptions, type Values } from "../command.js";
import { defined, interruptible, note, print } from "../common.js";
import { pullIfNamed } from "../open-model.js";
import { count, MACHINE, number } from "../options.js";
import { openPage, untilStopped } from "../serving.js";
import { noteToy } from "../toy-notice.js";

const OPTIONS = options({
  models: {
    type: "string", array: true, describe: "Models: names from `models list`, hf: addresses, or paths to GGUFs",
    defaultDescription: "all that are downloaded",
  },
  vectors: {
    type: "string", describe: "Folder of vectors and probes, where new ones are saved, too",
    defaultDescription: "`vectors` in $LLAMA_STEER_HOME",
  },
  port: { ...count(0), default: 8080, describe: "Port; 0 takes a free one" },
  host: { type: "string", default: "127.0.0.1", describe: "Address; one that others can reach needs --api-key" },
  "api-key": {
    type: "string", array: true, describe: "Key that clients have to send (repeatable)", defaultDescription: "$LLAMA_STEER_API_KEY",
  },
  "allow-host": { type: "string", array: true, describe: "Another name of this server, e.g. that of a proxy (repeatable)" },
  open: { type: "boolean", describe: "Open the page in your browser" },
  parallel: { ...count(), default: 16, describe: "Answers that a model writes at once" },
  queue: { ...count(0), default: 64, describe: "Requests that wait for a model; more are refused with 429" },
  memory: {
    type: "number", coerce: gigabytes, describe: "Largest total size of loaded models in GB",
    defaultDescription: "3/4 of the machine's memory",
  },
  timeout: { ...count(), default: 600, describe: "Seconds that an answer may take" },
  grace: { ...count(0), default: 30, describe: "Seconds that running answers have when the server closes" },
  ...MACHINE,
});

type ServeArguments = Values<typeof OPTIONS> & OutputOptions;

export default command({
  usage: "serve [models..]",
  describe: "Serve steered answers to OpenAI's clients, and a page",
  options: OPTIONS,
  examples: [
    ["serve qwen2.5-coder-0.5b-instruct --vectors vectors --open"],
    ["serve --host 0.0.0.0 --api-key \"$KEY\"", "reachable from other machines"],
  ],
  epilogue: "docs/server.md describes the API. Ctrl-C lets running answers end; a second one cancels them.",
  run,
});

async function run(given: ServeArguments): Promise<void> {
  const { quiet, json, port, host, allowHost, parallel, queue, memory, timeout, grace, threads, gpuLayers, rpc } = given;
  const { vectors = join(homeFolder(), "vectors") } = given;
  const named = given.models.length > 0 ? given.models : installed();
  await interruptible(async (signal) => {
    for (const model of named) await pullIfNamed(model, given, signal);
  });
  const server = await serve({
    models: named, port, host, apiKeys: keys(given), allowedHosts: allowHost, parallel, maxQueue: queue, timeout, grace,
    vectors, ...defined({ memory }), load: defined({ threads, gpuLayers, rpc }),
    logger: (level, message) => note(level === "warn" ? onStderr.yellow(message) : onStderr.dim(message), quiet),
  });
  const ending = untilStopped(server, quiet);
  const chosen = given.models.length > 0 || named.length === 1; // beside real models it is only listed
  if (chosen) for (const model of named) noteToy(model, quiet);
  print(json ? JSON.stringify({ url: server.url, models: named }) : `${server.url} serves ${named.join(", ")}. Ctrl-C ends it.`);
  if (given.open) await openPage(server, quiet);
  await ending;
}

/** What is here, the largest models first; the embedded one is always here. */
function installed(): string[] {
  const here = models.list().filter((model) => model.purpose === "generate" && (isOwn(model) || models.isInstalled(model)));
  return here.sort((a, b) => (b.size ?? 0) - (a.size ?? 0)).map(({ name }) => name);
}

function keys({ apiKey }: ServeArguments): string[] {
  const ofEnvironment = process.env["LLAMA_STEER_API_KEY"];
  return apiKey.length > 0 ? apiKey : ofEnvironment ? [ofEnvironment] : [];
}

function gigabytes(value: number, name: string): number {
  if (number(String(value), name) > 0) return value * 1e9;
  throw new SteeringError("E_BAD_ARGUMENT", `--${name} must be a number above 0`);
}
