import { capture, spec } from "../../lib/experiments.js";
import { readUtf8 } from "../../lib/formats/index.js";
import { SteeringError } from "../../lib/index.js";
import { promptTokens } from "../../lib/prompt/index.js";
import { command, options, type OutputOptions, type Values } from "../command.js";
import { interruptible, note, prepareOutput, print } from "../common.js";
import { openModel } from "../open-model.js";
import { count, file, formatGiven, formatOptions, MODEL, siteOption } from "../options.js";
import { showProgress } from "../progress.js";

const OPTIONS = options({
  ...MODEL,
  prompts: { ...file, describe: "Text file with one prompt per line" },
  ...siteOption("resid_post"),
  ...formatOptions("raw"),
  layers: { type: "string", default: "all", describe: "Layers to capture, counted from 0, e.g. 4-9+12" },
  "max-new-tokens": {
    ...count(), default: 1,
    describe: "Steps to capture: 1 is the prompt's last token, more continue with the answer",
  },
  out: { ...file, describe: "File to write (safetensors): a tensor [layers, steps, width] for each prompt" },
});

export default command({
  usage: "capture <model> <prompts>",
  describe: "Write the activations of prompts to a file",
  options: OPTIONS,
  examples: [["capture gemma3-270m prompts.txt --site resid_post --layers 9 --out activations.safetensors"]],
  run: (given) => interruptible((signal) => run(given, signal)),
});

async function run(options: Values<typeof OPTIONS> & OutputOptions, signal: AbortSignal): Promise<void> {
  const { site, maxNewTokens, out, quiet, json } = options;
  const how = { format: "raw", ...formatGiven(options) } as const;
  const lines = await readLines(options.prompts);
  const layers = spec.parseIndices(options.layers);
  await prepareOutput(out, [], quiet, { inPieces: true });
  await using model = await openModel(options, signal);
  const prompts = await Promise.all(lines.map((line) => promptTokens(model, line, how)));
  const progress = showProgress("capture", quiet, "prompts");
  progress.onProgress(0, prompts.length);
  try {
    const records = capture.activations(model, prompts, { site, maxNewTokens, signal, ...(layers === "all" ? {} : { layers }) });
    const counted = (async function* () {
      let done = 0;
      for await (const record of records) {
        yield record;
        progress.onProgress(++done, prompts.length);
      }
    })();
    await capture.save(out, counted, { site, nPrompts: prompts.length, model: await model.fingerprint() });
  } finally {
    progress.stop();
  }
  if (json) return print(JSON.stringify({ path: out, site, layers, prompts: prompts.length, maxNewTokens }, null, 2));
  print(out);
  note(`activations of ${prompts.length} prompts at ${site}`, quiet);
}

async function readLines(path: string): Promise<string[]> {
  const lines = (await readUtf8(path, "E_BAD_ARGUMENT")).split(/\r?\n/).filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new SteeringError("E_BAD_ARGUMENT", `${path} is empty; expected one prompt per line`);
  return lines;
}
