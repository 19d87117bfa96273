import { requireInteger, requireOneOf } from "../checks.js";
import { onAbort, type Engine, type Sampling } from "../engine/index.js";
import { abortError, SteeringError, throwIfAborted } from "../errors.js";
import { type Probe, Monitor, watched } from "../probe/index.js";
import { assertMadeFor } from "../vector/index.js";
import { HISTORIES, type ChatMemory, type History } from "./chat-memory.js";
import { Generation, type GenerationResult } from "./generation.js";
import { GenerationStream, type OnEnd } from "./generation-stream.js";
import { LiveSteering, steerings, type SteerInput } from "./live-steering.js";
import { Scoring } from "./scoring.js";
import { PIPELINES, type Pipeline } from "./stepper.js";

/** More candidates would be the bulk of an answer. */
const MAX_CANDIDATES = 100;

/** A text, or its tokens with BOS. */
export type Prompt = string | readonly number[];

/** How to steer a text while scoring it. */
export interface ScoreOptions {
  /** One or several vectors, each with its schedule; a calibrated vector has its own. */
  steer?: SteerInput;
  /**
   * How the tokens of the text read those before them: `as-generated` (default) with what was added to their rows, which is the published
   * method; `clean` without it, so that a vector only acts on the row of the token that it helps to choose. A steered prompt stays so.
   */
  ownHistory?: History;
  /** Allow vectors and probes made with another model of the same shape; default false. */
  allowMismatch?: boolean;
  signal?: AbortSignal;
}

/** A prompt, or a function that makes it when the generation begins. */
type LatePrompt = Prompt | (() => Promise<Prompt>);

/** How to steer a generation, when to end it, and how to pick its tokens. */
export interface GenerateOptions extends ScoreOptions {
  /** Default 128. */
  maxNewTokens?: number;
  /** Default: always pick the likeliest token. */
  sampling?: Sampling;
  /** End the text before the first of these strings to be completed. Default: none. */
  stop?: readonly string[];
  /** Also return every token's log probability; default false. */
  logProbabilities?: boolean;
  /**
   * Whether Dyn guesses tokens to save decodes: `auto` while enough guesses are right (default), `on` always, `off` never. Tokens and
   * alphas are the same. Off for models whose state cannot be cut at a token.
   */
  pipeline?: Pipeline;
  /** Tokens that the text begins with; the model continues after them. They are steered and measured like all others. Default: none. */
  firstTokens?: readonly number[];
  /** Also return this number of likeliest tokens per step, of each stream; default 0. */
  candidates?: number;
  /** Probes that classify, at every token, the state that chose it. Default: none. */
  monitor?: readonly Probe[];
}

/** What a chat adds to the generation of one of its turns. */
interface TurnOfChat {
  memory?: ChatMemory;
  onEnd?: OnEnd;
}

/**
 * Continues a prompt, steered by any number of vectors (docs/method.md §4 and §5).
 *
 * @throws SteeringError E_BAD_SPEC; `next` throws E_CONTEXT_FULL, E_MODEL_MISMATCH, E_NO_SITE, E_SHAPE, E_NOT_FINITE, E_ABORTED,
 *   E_DISPOSED
 */
export function generate(model: Engine, prompt: LatePrompt, options: GenerateOptions = {}, turn: TurnOfChat = {}): GenerationStream {
  const steer = steerings(options.steer).map((steering) => new LiveSteering(steering));
  const kept = <Given>(list: Given): Given => (Array.isArray(list) ? list.slice() as Given : list); // the caller may change its array later
  const given = { ...options, prompt: kept(prompt), firstTokens: kept(options.firstTokens ?? []) };
  const load = async (live: LiveSteering): Promise<void> => {
    await live.load(model, options.allowMismatch);
    if (options.monitor?.length) watched(model, options.monitor, live);
  };
  return new GenerationStream(steer, load, (left) => begin(model, given, steer, left, turn.memory), turn.onEnd);
}

/** Checks and loads everything, then submits the generation to the scheduler. `steer` may grow meanwhile. */
async function begin(
  model: Engine, options: GenerateOptions & { prompt: LatePrompt }, steer: readonly LiveSteering[], left: AbortSignal,
  memory: ChatMemory | undefined,
): Promise<Generation> {
  const { maxNewTokens = 128, stop = [], sampling = {}, logProbabilities = false, allowMismatch, pipeline = "auto" } = options;
  const ownHistory = checkedHistory(options);
  checkStops(stop);
  const { candidates = 0 } = options;
  requireInteger("candidates", candidates, { min: 0, max: MAX_CANDIDATES });
  requireOneOf("pipeline", pipeline, PIPELINES);
  const signals = [options.signal, left];
  const prompt = tokensOf(model, typeof options.prompt === "function" ? await unlessAborted(options.prompt(), signals) : options.prompt);
  checkLength(model, prompt.length, maxNewTokens);
  const firstTokens = firstOf(model, options.firstTokens ?? [], maxNewTokens);
  for (const live of steer) await live.load(model, allowMismatch);
  const monitor = await loadMonitor(model, { ...options, steer });
  signals.forEach(throwIfAborted);
  const how = { steer, sampling, maxNewTokens, stop, logProbabilities, monitor, pipeline, ownHistory, firstTokens, candidates };
  const generation = new Generation(model, { ...how, prompt, memory });
  generation.start(...signals);
  return generation;
}

function firstOf(model: Engine, tokens: readonly number[], maxNewTokens: number): readonly number[] {
  if (tokens.length <= maxNewTokens) return checkedTokens(model, tokens);
  throw new SteeringError("E_BAD_ARGUMENT", `firstTokens has ${tokens.length} tokens, but maxNewTokens allows only ${maxNewTokens}`);
}

/** Awaits `work`; rejects with E_ABORTED as soon as a signal fires. */
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

/** Continues a prompt and waits for the whole text. */
export async function generateText(model: Engine, prompt: Prompt, options: GenerateOptions = {}): Promise<GenerationResult> {
  return generate(model, prompt, options).result();
}

/**
 * Returns the log probability, in nats, of each token of a given continuation, steered as in `generate`. To get the tokens of a text,
 * use `model.tokenise(text, { bos: false })`.
 *
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_TOKEN and what `generate` throws
 */
export async function scoreTokens(
  model: Engine, prompt: Prompt, continuation: readonly number[], options: ScoreOptions = {},
): Promise<number[]> {
  const tokens = tokensOf(model, prompt);
  const given = checkedTokens(model, continuation);
  if (given.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "the continuation is empty");
  checkLength(model, tokens.length, given.length);
  const steer = steerings(options.steer).map((steering) => new LiveSteering(steering));
  for (const live of steer) await live.load(model, options.allowMismatch);
  const scoring = new Scoring(model, tokens, given, steer, checkedHistory(options));
  await model.scheduler.run(scoring, options.signal);
  return scoring.logProbabilities;
}

function checkedHistory({ ownHistory = "as-generated" }: ScoreOptions): History {
  requireOneOf("ownHistory", ownHistory, HISTORIES);
  return ownHistory;
}

function tokensOf(model: Engine, prompt: Prompt): readonly number[] {
  return typeof prompt === "string" ? model.tokenise(prompt) : checkedTokens(model, prompt);
}

/** Copies the tokens, since the caller may change them. Throws E_BAD_TOKEN here rather than in a batch shared with others. */
function checkedTokens(model: Engine, tokens: readonly number[]): number[] {
  if (!Array.isArray(tokens)) {
    throw new SteeringError("E_BAD_ARGUMENT", "expected token ids; to get those of a text, use model.tokenise(text, { bos: false })");
  }
  const copy = tokens.slice();
  model.checkTokens(copy);
  return copy;
}

async function loadMonitor(
  model: Engine, { monitor: probes = [], steer, allowMismatch }: GenerateOptions & { steer: readonly LiveSteering[] },
): Promise<Monitor | undefined> {
  if (probes.length === 0) return undefined;
  const fingerprint = await model.fingerprint();
  for (const probe of probes) assertMadeFor(probe, fingerprint, allowMismatch, "probe");
  return new Monitor(model, probes, steer);
}

function checkStops(stops: readonly string[]): void {
  if (stops.includes("")) throw new SteeringError("E_BAD_ARGUMENT", "a stop string is empty: it would end every text immediately");
}

/** Throws E_CONTEXT_FULL if a prompt and its answer do not fit into the context. */
export function checkLength(model: Engine, nPrompt: number, maxNewTokens: number): void {
  if (nPrompt === 0) throw new SteeringError("E_BAD_ARGUMENT", "the prompt is empty");
  requireInteger("maxNewTokens", maxNewTokens, { min: 1 });
  if (nPrompt + maxNewTokens <= model.maxContext) return;
  throw new SteeringError("E_CONTEXT_FULL", `the prompt has ${nPrompt} tokens and ${maxNewTokens} new ones were requested, but the `
    + `model's context holds ${model.maxContext}. Shorten the prompt, request fewer tokens, or extend the context (loadModel's `
    + "ropeScaling).");
}
