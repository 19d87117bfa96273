import { SteeringError } from "../errors.js";
import { onAbort, type Model, type Sampling } from "../engine/index.js";
import { abortError, throwIfAborted } from "../errors.js";
import { type Probe, Monitor } from "../probe/index.js";
import { assertMadeFor } from "../vector/index.js";
import { Generation, type GeneratedToken, type GenerationResult } from "./generation.js";
import { GenerationStream } from "./generation-stream.js";
import { LiveSteering, steerings, type SteerInput } from "./live-steering.js";
import { Scoring } from "./scoring.js";
import type { Property } from "./streams.js";

/** A text, or its tokens, BOS included. */
export type Prompt = string | readonly number[];

/** Under which steering a text is scored. */
export interface ScoreOptions {
  /** One or several vectors, each with its schedule; a calibrated vector needs none. */
  steer?: SteerInput;
  /** Use a vector, or a probe, that was made with another model of the same shape. */
  allowMismatch?: boolean;
  signal?: AbortSignal;
}

/** A prompt that is made when the generation begins. */
type LatePrompt = Prompt | (() => Promise<Prompt>);

/** What steers a generation, where it ends, and how its tokens are picked. */
export interface GenerateOptions extends ScoreOptions {
  /** Default 128. */
  maxNewTokens?: number;
  /** Default: the likeliest token. */
  sampling?: Sampling;
  /** The text ends before the first of these to be completed. Default: none. */
  stop?: readonly string[];
  /** Give every token's log probability too; default false. */
  logProbabilities?: boolean;
  /** Probes that judge, at every token, the state that chose it. Default: none. */
  monitor?: readonly Probe[];
}

/**
 * Continue a prompt, steered by any number of vectors (docs/method.md §4 and §5).
 *
 * @throws SteeringError E_BAD_SPEC; when it is read: E_CONTEXT_FULL, E_MODEL_MISMATCH, E_NO_SITE, E_SHAPE, E_NOT_FINITE, E_ABORTED, E_DISPOSED
 */
export function generate(model: Model, prompt: LatePrompt, options: GenerateOptions = {}, onEnd?: (result?: GenerationResult) => void): GenerationStream {
  const steer = steerings(options.steer).map((steering) => new LiveSteering(steering));
  const load = (live: LiveSteering): Promise<Property> => loadProperty(model, live, options.allowMismatch);
  const given = { ...options, prompt: Array.isArray(prompt) ? prompt.slice() : prompt }; // what the caller changes until it is read is not meant
  return new GenerationStream(steer, load, (properties, left) => run(model, { ...given, left }, steer, properties), onEnd);
}

type Run = GenerateOptions & { prompt: LatePrompt; left: AbortSignal };

async function* run(model: Model, options: Run, steer: readonly LiveSteering[], properties: Property[]): AsyncGenerator<GeneratedToken, Omit<GenerationResult, "steering">> {
  const { prompt, maxNewTokens = 128, stop = [], sampling = {}, logProbabilities = false } = options;
  checkStops(stop);
  const signals = [options.signal, options.left];
  const tokens = tokensOf(model, typeof prompt === "function" ? await unlessAborted(prompt(), signals) : prompt);
  checkLength(model, tokens.length, maxNewTokens);
  while (properties.length < steer.length) properties.push(await loadProperty(model, steer[properties.length]!, options.allowMismatch));
  const monitor = await loadMonitor(model, { ...options, steer });
  signals.forEach(throwIfAborted); // in the turn in which they are listened to
  const generation = new Generation(model, { prompt: tokens, properties, sampling, maxNewTokens, stop, logProbabilities, monitor });
  const forget = signals.map((signal) => onAbort(signal, () => {
    generation.fail(abortError(signal!));
    model.scheduler.cancel(generation);
  }));
  try {
    model.scheduler.submit(generation);
    for (let token = await generation.next(); token; token = await generation.next()) yield token;
    return generation.result();
  } finally {
    for (const each of forget) each();
    model.scheduler.cancel(generation);
  }
}

/** What is awaited, or E_ABORTED as soon as a signal fires. */
async function unlessAborted<T>(work: Promise<T>, signals: ReadonlyArray<AbortSignal | undefined>): Promise<T> {
  const forget: Array<() => void> = [];
  try {
    return await new Promise<T>((resolve, reject) => {
      work.then(resolve, reject);
      for (const signal of signals) forget.push(onAbort(signal, () => reject(abortError(signal!))));
    });
  } finally {
    for (const each of forget) each();
  }
}

/** Continue a prompt and wait for the whole text. */
export async function generateText(model: Model, prompt: Prompt, options: GenerateOptions = {}): Promise<GenerationResult> {
  return generate(model, prompt, options).result();
}

/**
 * Log probability, in nats, of each token of a continuation that is given, steered as in `generate`. A text's tokens:
 * `model.tokenise(text, { bos: false })`.
 *
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_TOKEN and what `generate` throws
 */
export async function scoreTokens(model: Model, prompt: Prompt, continuation: readonly number[], options: ScoreOptions = {}): Promise<number[]> {
  const tokens = tokensOf(model, prompt);
  const given = checkedTokens(model, continuation);
  if (given.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "the continuation is empty");
  checkLength(model, tokens.length, given.length);
  const properties = await loadProperties(model, options);
  throwIfAborted(options.signal);
  const scoring = new Scoring(tokens, given, properties);
  const forget = onAbort(options.signal, () => {
    scoring.fail(abortError(options.signal!));
    model.scheduler.cancel(scoring);
  });
  model.scheduler.submit(scoring);
  return scoring.logProbabilities.finally(forget);
}

function tokensOf(model: Model, prompt: Prompt): readonly number[] {
  return typeof prompt === "string" ? model.tokenise(prompt) : checkedTokens(model, prompt);
}

/** A copy of the tokens, which the caller may change; E_BAD_TOKEN here, before a batch would throw it that others share. */
function checkedTokens(model: Model, tokens: readonly number[]): number[] {
  if (!Array.isArray(tokens)) throw new SteeringError("E_BAD_ARGUMENT", "token ids were expected; of a text: model.tokenise(text, { bos: false })");
  const copy = tokens.slice();
  model.detokenise(copy);
  return copy;
}

async function loadProperties(model: Model, { steer, allowMismatch }: ScoreOptions): Promise<Property[]> {
  const properties: Property[] = [];
  for (const steering of steerings(steer)) properties.push(await loadProperty(model, new LiveSteering(steering), allowMismatch));
  return properties;
}

async function loadProperty(model: Model, live: LiveSteering, allowMismatch = false): Promise<Property> {
  assertMadeFor(live.vector, await model.fingerprint(), allowMismatch);
  return live.toProperty(model.vectorHandle(live.vector, live));
}

async function loadMonitor(model: Model, { monitor: probes = [], steer, allowMismatch }: GenerateOptions & { steer: readonly LiveSteering[] }): Promise<Monitor | undefined> {
  if (probes.length === 0) return undefined;
  const fingerprint = await model.fingerprint();
  for (const probe of probes) assertMadeFor(probe, fingerprint, allowMismatch, "probe");
  return new Monitor(model, probes, steer);
}

function checkStops(stops: readonly string[]): void {
  if (stops.includes("")) throw new SteeringError("E_BAD_ARGUMENT", "a stop string is empty: it would end every text at once");
}

function checkLength(model: Model, nPrompt: number, maxNewTokens: number): void {
  if (nPrompt === 0) throw new SteeringError("E_BAD_ARGUMENT", "the prompt is empty");
  if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1) throw new SteeringError("E_BAD_ARGUMENT", "maxNewTokens must be an integer of at least 1");
  if (nPrompt + maxNewTokens <= model.maxContext) return;
  throw new SteeringError("E_CONTEXT_FULL", `the prompt takes ${nPrompt} tokens and ${maxNewTokens} new ones were asked for; `
    + `the model's context holds ${model.maxContext}. Shorten the prompt, ask for fewer tokens, or state how a longer context is computed (loadModel's ropeScaling).`);
}
