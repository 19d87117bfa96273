import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { probe } from "../../lib/experiments.js";
import { loadSteering, prompts, SteeringError, type GeneratedToken, type GenerateOptions, type GenerationResult, type Model, type Probe, type Sampling, type SteeringSpec } from "../../lib/index.js";
import { AlphaStrip } from "../alpha-strip.js";
import { interruptible, modelOptions, note, print, wholeNumber, type ModelOptions } from "../common.js";
import { openModel } from "../open-model.js";

export interface GenerateArguments extends ModelOptions {
  prompt: string;
  steer: string[];
  maxNewTokens: number;
  raw: boolean;
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repeatPenalty: number;
  seed: number;
  stop: string[] | undefined;
  allowMismatch: boolean;
  monitor: string[];
}

/** What a generation is asked for, and how it is steered. */
export function generationOptions<T>(yargs: Argv<T>): Argv<T & GenerateArguments> {
  return modelOptions(yargs)
    .positional("prompt", { type: "string", demandOption: true, describe: "The question" })
    .option("steer", { type: "string", array: true, nargs: 1, default: [] as string[], describe: "A vector and its schedule, see below; repeat it to compose" })
    .option("max-new-tokens", { type: "number", default: 30, coerce: wholeNumber("max-new-tokens", 1), describe: "Most tokens to generate" })
    .option("raw", { type: "boolean", default: false, describe: "Use the prompt as it is, not as Q:…/A:" })
    .option("stop", { type: "string", array: true, nargs: 1, describe: "End the text before this string; repeatable. Q: by default, none with --raw" })
    .option("temperature", { type: "number", default: 0, describe: "0 takes the likeliest token; above, tokens are drawn" })
    .option("top-k", { type: "number", default: 0, describe: "Draw among the K likeliest; 0: all" })
    .option("top-p", { type: "number", default: 1, describe: "Draw among the likeliest that make up P" })
    .option("min-p", { type: "number", default: 0, describe: "Draw among those at least P times as likely as the likeliest" })
    .option("repeat-penalty", { type: "number", default: 1, describe: "Above 1: repeat less" })
    .option("seed", { type: "number", default: 0, describe: "Seed of the draw" })
    .option("allow-mismatch", { type: "boolean", default: false, describe: "Use a vector or a probe of another model of the same shape" })
    .option("monitor", { type: "string", array: true, nargs: 1, default: [] as string[], describe: "A probe that judges every token's state; repeatable" })
    .epilogue([
      "Schedules (ALPHA is 1 and P is 0.5 where left out):",
      "  FILE:fixed,ALPHA   every token",
      "  FILE:start,ALPHA   the first token only",
      "  FILE:dim,ALPHA     diminishing, from ALPHA down to ALPHA/N at the last of the vector's N steps",
      "  FILE:window,ALPHA,from=I,to=J   the tokens from I to before J",
      "  FILE:dyn,p=P       measured: the KL divergence that the vector causes among the likeliest",
      "                     tokens that make up P; also max=2, strong=2, kl=mean|sum",
      "Each also takes tail=mean|hold|stop: what to add beyond the vector's last step,",
      "and layers=4-9+12, heads=0+3: parts of the vector.",
    ].join("\n")) as unknown as Argv<T & GenerateArguments>;
}

/** `llama-steer generate MODEL "question" --steer FILE:dyn,p=0.5` */
export const generateCommand: CommandModule<object, GenerateArguments> = {
  command: "generate <model> <prompt>",
  describe: "Answer a question, steered by any number of vectors",
  builder: (yargs) => generationOptions(yargs as Argv<object>)
    .example("$0 generate gemma3-270m \"What do bees make?\" --steer italian.safetensors:dyn,p=0.3", "")
    .example("$0 generate gemma3-270m \"What do bees make?\" --steer italian.safetensors:fixed,1.5 --json", "") as unknown as Argv<GenerateArguments>,
  handler: (options) => interruptible((signal) => run(options, signal)),
};

async function run(options: ArgumentsCamelCase<GenerateArguments>, signal: AbortSignal): Promise<void> {
  const { json, quiet } = options;
  await using started = await startGeneration(options, signal);
  const { model, prompt, specs, probes } = started;
  const result = await follow(started.tokens, json ? () => undefined : writer(specs, probes.length, quiet));
  const monitor = probes.map(({ provenance }, index) => ({ probe: options.monitor[index], property: provenance.property }));
  if (json) return print(JSON.stringify({ model: options.model, quantisation: model.info.quantisation, prompt, ...(monitor.length > 0 && { monitor }), ...result }, null, 2));
  note(speed(result), quiet);
}

/** e.g. "30 tokens, 25.1 tokens/s, ended by length". */
export function speed({ tokens, seconds, finishReason }: GenerationResult): string {
  return `${tokens.length} tokens, ${(tokens.length / seconds).toFixed(1)} tokens/s, ended by ${finishReason}`;
}

interface Started extends AsyncDisposable {
  model: Model;
  prompt: string;
  specs: SteeringSpec[];
  /** Of the monitors. */
  probes: Probe[];
  tokens: AsyncGenerator<GeneratedToken, GenerationResult>;
}

/** Load what the command line names, and begin; the model lives until this is disposed of. */
export async function startGeneration(options: ArgumentsCamelCase<GenerateArguments>, signal: AbortSignal, more: Pick<GenerateOptions, "logProbabilities"> = {}): Promise<Started> {
  const { raw, maxNewTokens, allowMismatch } = options;
  if (options.prompt.trim() === "") throw new SteeringError("E_BAD_ARGUMENT", "the prompt is empty");
  const steer = (await Promise.all(options.steer.map((spec) => loadSteering(spec)))).flat();
  const specs = steer.map(({ vector, ...how }) => ({ ...how, vector: vector.path! }));
  const probes = await Promise.all(options.monitor.map(probe.load));
  const { temperature, topK, topP, minP, repeatPenalty, seed } = options;
  const sampling: Sampling = { temperature, topK, topP, minP, repeatPenalty, seed };
  const model = await openModel(options, signal);
  const prompt = raw ? options.prompt : prompts.question(options.prompt);
  const stop = options.stop ?? (raw ? [] : [prompts.QUESTION_STOP]);
  const tokens = model.generate(prompt, { steer, sampling, maxNewTokens, stop, allowMismatch, monitor: probes, signal, ...more });
  return { model, prompt, specs, probes, tokens, [Symbol.asyncDispose]: () => model[Symbol.asyncDispose]() };
}

/** What to do with every token, and with `undefined` at the end: on a terminal the text with its alphas and what monitors say, else the text. */
function writer(specs: readonly SteeringSpec[], nMonitors: number, quiet: boolean): (token: GeneratedToken | undefined) => void {
  const write = (text: string): void => void process.stdout.write(text);
  if (specs.length + nMonitors === 0 || quiet || !process.stdout.isTTY) return (token) => write(token?.text ?? "\n");
  const strip = new AlphaStrip(specs.map(alphaScale), Math.min(process.stdout.columns, 120), write, nMonitors);
  return (token) => (token ? strip.push(token) : strip.finish());
}

export async function follow(tokens: AsyncGenerator<GeneratedToken, GenerationResult>, show: (token: GeneratedToken | undefined) => void): Promise<GenerationResult> {
  for (;;) {
    const next = await tokens.next();
    show(next.done ? undefined : next.value);
    if (next.done) return next.value;
  }
}

/** The alpha that fills a strip: the most that the schedule can reach. */
export function alphaScale({ schedule }: Pick<SteeringSpec, "schedule">): number {
  const alphas = "alphas" in schedule ? schedule.alphas : ["alphaMax" in schedule ? schedule.alphaMax : schedule.alpha];
  return Math.max(...alphas.map(Math.abs), 0) || 1;
}
