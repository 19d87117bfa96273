import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { generate, loadVector, parseSteer, questionPrompt, QUESTION_STOP, SteeringError, type GenerationResult, type SteeringSpec } from "../../lib/index.js";
import { alphaStrip } from "../alpha-strip.js";
import { interruptible, modelOptions, note, print, wholeNumber, type ModelOptions } from "../common.js";
import { openModel } from "../open-model.js";

interface GenerateArguments extends ModelOptions {
  prompt: string;
  steer: string[];
  maxNewTokens: number;
  raw: boolean;
  stop: string[] | undefined;
  allowMismatch: boolean;
}

/** `llama-steer generate MODEL "question" --steer FILE:dyn,p=0.5` */
export const generateCommand: CommandModule<object, GenerateArguments> = {
  command: "generate <model> <prompt>",
  describe: "Answer a question, steered by any number of vectors",
  builder: (yargs) => modelOptions(yargs as Argv<object>)
    .positional("prompt", { type: "string", demandOption: true, describe: "The question" })
    .option("steer", { type: "string", array: true, nargs: 1, default: [] as string[], describe: "FILE:fixed,ALPHA · FILE:start,ALPHA · FILE:dim,ALPHA · FILE:dyn,p=TOP_P; repeat it to compose" })
    .option("max-new-tokens", { type: "number", default: 30, coerce: wholeNumber("max-new-tokens", 1), describe: "Most tokens to generate" })
    .option("raw", { type: "boolean", default: false, describe: "Use the prompt as it is, not as Q:…/A:" })
    .option("stop", { type: "string", array: true, nargs: 1, describe: "End the text before this string; repeatable. Q: by default, none with --raw" })
    .option("allow-mismatch", { type: "boolean", default: false, describe: "Use a vector of another model of the same shape" })
    .example("$0 generate gemma3-270m \"What do bees make?\" --steer italian.safetensors:dyn,p=0.5", "")
    .example("$0 generate gemma3-270m \"What do bees make?\" --steer italian.safetensors:fixed,1.5 --json", "") as unknown as Argv<GenerateArguments>,
  handler: (options) => interruptible((signal) => run(options, signal)),
};

async function run(options: ArgumentsCamelCase<GenerateArguments>, signal: AbortSignal): Promise<void> {
  const { raw, json, quiet, maxNewTokens, allowMismatch } = options;
  if (options.prompt.trim() === "") throw new SteeringError("E_BAD_ARGUMENT", "the prompt is empty");
  const specs = options.steer.map(parseSteer);
  const steer = await Promise.all(specs.map(async ({ vector, schedule, tail }) => ({ vector: await loadVector(vector), schedule, tail })));
  await using model = await openModel(options, signal);
  const prompt = raw ? options.prompt : questionPrompt(options.prompt);
  const stop = options.stop ?? (raw ? [] : [QUESTION_STOP]);
  const tokens = generate(model, prompt, { steer, maxNewTokens, stop, allowMismatch, signal });
  const result = await follow(tokens, (text) => { if (!json) process.stdout.write(text); });
  if (json) return print(JSON.stringify({ model: options.model, quantisation: model.info.quantisation, prompt, steer: specs, ...result }, null, 2));
  process.stdout.write("\n");
  showReadings(result, specs, quiet);
}

async function follow(tokens: AsyncGenerator<{ text: string }, GenerationResult>, onText: (text: string) => void): Promise<GenerationResult> {
  for (;;) {
    const next = await tokens.next();
    if (next.done) return next.value;
    onText(next.value.text);
  }
}

function showReadings(result: GenerationResult, specs: readonly SteeringSpec[], quiet: boolean): void {
  if (specs.length > 0) {
    note("", quiet);
    note(alphaStrip(result.tokens, specs.map(alphaScale), Math.min(process.stderr.columns ?? 100, 120)).join("\n"), quiet);
  }
  note(`${result.tokens.length} tokens, ${(result.tokens.length / result.seconds).toFixed(1)} tokens/s, ended by ${result.finishReason}`, quiet);
}

/** The alpha that fills a strip: the most that the schedule can reach. */
export function alphaScale({ schedule }: Pick<SteeringSpec, "schedule">): number {
  return (schedule.kind === "dynamic" ? schedule.alphaMax : Math.abs(schedule.alpha)) || 1;
}
