import { probe } from "../../lib/experiments.js";
import { canonicalSpec, HISTORIES, PIPELINES } from "../../lib/generate/index.js";
import { resolveFormat } from "../../lib/prompt/index.js";
import {
  prompts, SteeringError, type ChatMessage, type Format, type GeneratedToken, type GenerateOptions, type GenerationResult,
  type Model, type Probe, type SteeringSpec,
} from "../../lib/index.js";
import { AlphaStrip } from "../alpha-strip.js";
import { command, options, type OutputOptions, type Values } from "../command.js";
import { counted, defined, interruptible, note, print } from "../common.js";
import { WordWrap } from "../chat/word-wrap.js";
import { readMessages } from "../messages.js";
import { noteSteering } from "../steering-notices.js";
import { openModel } from "../open-model.js";
import { count, formatGiven, formatOptions, MODEL } from "../options.js";
import { pipedPrompt } from "../piped-text.js";
import { SAMPLING, samplingOf } from "../sampling-options.js";
import { readSteer } from "../steer-option.js";
import { noteToy } from "../toy-notice.js";
import { widthOf } from "../wrapped.js";

/** What to generate, and how to steer it. */
export const GENERATION = options({
  ...MODEL,
  ...formatOptions(),
  prompt: { type: "string", describe: "Question to answer", defaultDescription: "what is piped into the command" },
  messages: { type: "string", describe: "JSON file with a conversation to answer instead: [{role, content}, ...]", group: "Prompt:" },
  steer: { type: "string", array: true, describe: "Vector and schedule, see below (repeatable)" },
  "max-new-tokens": { ...count(), default: 30, describe: "Largest number of tokens to generate" },
  stop: {
    type: "string", array: true, describe: "End the answer before this text (repeatable)",
    defaultDescription: "Q: with --format qa, else none",
  },
  ...SAMPLING,
  pipeline: { choices: PIPELINES, default: "auto", describe: "Guess tokens ahead (dyn): while it pays, always or never" },
  "own-history": {
    choices: HISTORIES, default: "as-generated", describe: "How a token reads the answer so far: with its steering, or clean of it",
  },
  "allow-mismatch": { type: "boolean", describe: "Accept vectors and probes of another model of the same shape" },
  monitor: { type: "string", array: true, describe: "Probe file; its probability is shown at every token (repeatable)" },
});

export type GenerateArguments = Values<typeof GENERATION> & OutputOptions;

/** How to write a vector and its schedule. */
export const SCHEDULES = [
  "FILE is a vector file or the name of a ready-made vector, such as cheerful. Its",
  "schedule can be left out if the strength was measured, else (ALPHA is 1 and P is",
  "0.5 if left out):",
  "  FILE:fixed,ALPHA   ALPHA at every token",
  "  FILE:start,ALPHA   ALPHA at the first token only",
  "  FILE:dim,ALPHA     from ALPHA down to ALPHA/N at the last of the vector's N steps",
  "  FILE:window,ALPHA,from=I,to=J",
  "                     ALPHA from token I up to token J − 1",
  "  FILE:dyn,p=P       at each token the KL divergence that the vector causes, among",
  "                     the most likely tokens that together have probability P;",
  "                     also takes max=2, strong=2, kl=mean|sum, and skip=NATS,",
  "                     after=2, for=4: after 2 KLs below NATS, the next 4 tokens",
  "                     keep the last ALPHA, unmeasured",
  "  FILE:budget,NATS   the largest ALPHA, at most max=2, that keeps the token's KL",
  "                     from the unsteered one within NATS (default 0.5);",
  "                     per=answer: the budget is for the whole answer",
  "Each schedule also takes tail=mean|hold|stop (what to add after the vector's last",
  "step), layers=4-9+12, heads=0+3 (which parts of the vector to add),",
  "on=prompt+thinking+answer (when to add it; default: on=answer), and within that",
  "at=0-20 (token steps; the last one is excluded), words=first (on tokens that begin a",
  "word), since=\"TEXT\" (once the answer contains it), op=project (add only up to ALPHA",
  "times the vector), op=ablate (remove the component along it; ALPHA 1 removes all),",
  "op=clamp (limit the component to ALPHA times the vector), and norm=keep (activations",
  "keep their norms). A gate lets a probe decide: when=PROBE>0.5 or when=PROBE<0.5, with",
  "until=0.3 (open until it falls below), per=prompt (decide once), gate=smooth (alpha",
  "times probability).",
].join("\n");

export default command({
  usage: "generate <model> [prompt]",
  describe: "Answer a question, steered by one or more vectors",
  options: GENERATION,
  examples: [
    ["generate gemma3-270m \"What do bees make?\" --steer italian.safetensors:dyn,p=0.3"],
    ["generate gemma3-270m \"What do bees make?\" --steer italian.safetensors:fixed,0.5"],
  ],
  epilogue: SCHEDULES,
  run: (given) => interruptible((signal) => run(given, signal)),
});

async function run(options: GenerateArguments, signal: AbortSignal): Promise<void> {
  const { json, quiet } = options;
  await using started = await startGeneration(options, signal);
  const { model, prompt, format, specs, probes } = started;
  const result = await follow(started.tokens, json ? () => undefined : writer(specs, probes.length, quiet));
  const monitor = probes.map(({ provenance }, index) => ({ probe: options.monitor[index], property: provenance.property }));
  if (json) {
    const ownHistory = options.ownHistory === "clean" ? options.ownHistory : undefined;
    const asked = { format, ...defined({ system: options.system }), [typeof prompt === "string" ? "prompt" : "messages"]: prompt };
    const how = defined({ ownHistory });
    const made = { model: options.model, quantisation: model.info.quantisation, ...asked, ...how, ...(monitor.length > 0 && { monitor }) };
    return print(JSON.stringify({ ...made, ...result }, null, 2));
  }
  note(closing(result, started.stop), quiet);
}

/** E.g. "30 tokens, 25.1 tokens/s, stopped at --max-new-tokens". */
export function closing({ tokens, seconds, finishReason }: GenerationResult, stop: readonly string[]): string {
  const texts = stop.map((text) => JSON.stringify(text)).join(" or ");
  const end = { length: "stopped at --max-new-tokens", stop: `ended before ${texts}`, end: "the model ended the answer" }[finishReason];
  return `${counted(tokens.length, "token")}, ${(tokens.length / seconds).toFixed(1)} tokens/s, ${end}`;
}

type Asked = string | ChatMessage[];

interface Started extends AsyncDisposable {
  model: Model;
  /** The question or conversation, and how it is written for the model. */
  prompt: Asked;
  format: Format;
  specs: SteeringSpec[];
  /** The monitors. */
  probes: Probe[];
  /** Texts that end the answer. */
  stop: readonly string[];
  tokens: AsyncGenerator<GeneratedToken, GenerationResult>;
}

type MoreOptions = Pick<GenerateOptions, "logProbabilities">;

/** Loads the files on the command line and starts to generate; the model lives until the result is disposed of. */
export async function startGeneration(options: GenerateArguments, signal: AbortSignal, more: MoreOptions = {}): Promise<Started> {
  const { maxNewTokens, allowMismatch, quiet, pipeline, ownHistory } = options;
  const prompt = await promptOf(options, signal);
  const how = formatGiven(options);
  const steerers = await Promise.all(options.steer.map(readSteer));
  const probes = await Promise.all(options.monitor.map(probe.load));
  const sampling = await samplingOf(options);
  const model = await openModel(options, signal);
  try {
    noteToy(options.model, quiet);
    const format = resolveFormat(model, how.format);
    const steer = (await Promise.all(steerers.map((steerer) => steerer(model)))).flat();
    const specs = steer.map((each) => canonicalSpec(each, undefined));
    await noteSteering(steer, { ...how, format }, quiet);
    const stop = options.stop.length > 0 || format !== "qa" ? options.stop : [prompts.QUESTION_STOP];
    const asked = await prompts.tokens(model, prompt, { ...how, format });
    const settings = { sampling, maxNewTokens, stop, allowMismatch, pipeline, ownHistory };
    const tokens = model.generate(asked, { steer, ...settings, monitor: probes, signal, ...more });
    return { model, prompt, format, specs, probes, stop, tokens, [Symbol.asyncDispose]: () => model[Symbol.asyncDispose]() };
  } catch (error) {
    await model[Symbol.asyncDispose]();
    throw error;
  }
}

/** The question or conversation on the command line, or the piped question. Throws what `pipedPrompt` and `readMessages` throw. */
async function promptOf({ prompt: given, messages, quiet }: GenerateArguments, signal: AbortSignal): Promise<Asked> {
  if (messages !== undefined) {
    if (given === undefined) return readMessages(messages);
    throw new SteeringError("E_BAD_ARGUMENT", "a prompt and --messages are both given; expected one of them");
  }
  const prompt = given ?? await pipedPrompt(quiet, signal);
  if (prompt !== undefined && prompt.trim() !== "") return prompt;
  const what = (prompt ?? "") === "" ? "no prompt is given" : "the prompt is empty";
  throw new SteeringError("E_BAD_ARGUMENT", `${what}; expected a question in quotes, one that is piped in, or --messages FILE`);
}

/** Writes every token, and the end (undefined): on a terminal the text with its alphas and the monitors, elsewhere only the text. */
function writer(specs: readonly SteeringSpec[], nMonitors: number, quiet: boolean): (token: GeneratedToken | undefined) => void {
  const write = (text: string): void => void process.stdout.write(text);
  const width = widthOf(process.stdout);
  if (width === undefined) return (token) => write(token?.text ?? "\n");
  if (specs.length + nMonitors === 0 || quiet) {
    const wrap = new WordWrap(width, write);
    return (token) => wrap.push(token?.text ?? "\n", (text) => text);
  }
  const strip = new AlphaStrip(specs.map(alphaScale), Math.min(width, 120), write, nMonitors);
  return (token) => (token ? strip.push(token) : strip.finish());
}

/** Shows every token as it comes, then the end; returns the result. */
export async function follow(tokens: Started["tokens"], show: (token: GeneratedToken | undefined) => void): Promise<GenerationResult> {
  for (;;) {
    const next = await tokens.next();
    show(next.done ? undefined : next.value);
    if (next.done) return next.value;
  }
}

/** The alpha that fills a strip: the largest that the schedule can reach. */
export function alphaScale({ schedule }: Pick<SteeringSpec, "schedule">): number {
  if (schedule.kind === "recorded") return Math.max(...schedule.alphas.map(Math.abs), 0) || 1;
  return ("alphaMax" in schedule ? schedule.alphaMax : Math.abs(schedule.alpha)) || 1;
}
