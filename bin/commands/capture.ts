import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { capture, spec } from "../../lib/experiments.js";
import { assertWritable, readUtf8 } from "../../lib/formats/index.js";
import { SteeringError, type HookSite } from "../../lib/index.js";
import { HOOK_SITES } from "../../lib/vector/index.js";
import { interruptible, modelOptions, note, print, wholeNumber, type ModelOptions } from "../common.js";
import { openModel } from "../open-model.js";
import { showProgress } from "../progress.js";

interface CaptureArguments extends ModelOptions {
  prompts: string;
  site: HookSite;
  layers: string;
  maxNewTokens: number;
  out: string;
}

/** `llama-steer capture MODEL prompts.txt --site resid_post --out activations.safetensors` */
export const captureCommand: CommandModule<object, CaptureArguments> = {
  command: "capture <model> <prompts>",
  describe: "Write the activations of prompts to a file",
  builder: (yargs) => modelOptions(yargs as Argv<object>)
    .positional("prompts", { type: "string", demandOption: true, describe: "Text file, one prompt per line" })
    .option("site", { choices: HOOK_SITES, default: "resid_post" as HookSite, describe: "Where in a block" })
    .option("layers", { type: "string", default: "all", describe: "Layers from 0, e.g. 4-9+12" })
    .option("max-new-tokens", { type: "number", default: 1, coerce: wholeNumber("max-new-tokens", 1), describe: "Token steps: 1 is the prompt's last position, more go on with the model's answer" })
    .option("out", { type: "string", demandOption: true, describe: "safetensors file to write, one tensor [layers, steps, width] per prompt" })
    .example("$0 capture gemma3-270m prompts.txt --site resid_post --layers 9 --out activations.safetensors", "") as unknown as Argv<CaptureArguments>,
  handler: (options) => interruptible((signal) => run(options, signal)),
};

async function run(options: ArgumentsCamelCase<CaptureArguments>, signal: AbortSignal): Promise<void> {
  const { site, maxNewTokens, out, quiet, json } = options;
  const lines = await readLines(options.prompts);
  const layers = spec.parseIndices(options.layers);
  await assertWritable(out, [], { inPieces: true });
  await using model = await openModel(options, signal);
  const prompts = lines.map((line) => model.tokenise(line));
  const progress = showProgress("capture", quiet, (done) => `${Math.round(done)} prompts`);
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
  note(`${prompts.length} prompts at ${site}`, quiet);
}

async function readLines(path: string): Promise<string[]> {
  const lines = (await readUtf8(path, "E_BAD_ARGUMENT")).split(/\r?\n/).filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new SteeringError("E_BAD_ARGUMENT", `${path} holds no prompt`);
  return lines;
}
