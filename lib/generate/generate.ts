import { SteeringError } from "../errors.js";
import { throwIfAborted, type Context, type Model } from "../runtime/index.js";
import { assertMadeFor, parseSchedule, parseTail, type Schedule, type ScheduleInput, type SteeringVector, type Tail } from "../steering/index.js";
import { Streams, type Property, type Reading } from "./streams.js";
import { TextStream } from "./text-stream.js";

/** A vector and how strongly to add it. */
export interface Steering {
  vector: SteeringVector;
  /** Missing settings take their defaults, e.g. `{ kind: "dynamic" }`. */
  schedule: ScheduleInput;
  tail?: Tail;
}

export interface GenerateOptions {
  steer?: readonly Steering[];
  /** Default 128. */
  maxNewTokens?: number;
  /** The text ends before the first of these to be completed. Default: none. */
  stop?: readonly string[];
  /** Use a vector that was extracted from another model of the same shape. */
  allowMismatch?: boolean;
  signal?: AbortSignal;
}

export interface GeneratedToken {
  /** Text that this token made certain: empty inside a UTF-8 character or a possible stop string. */
  text: string;
  token: number;
  /** Token step, from 0. */
  step: number;
  /** One per entry of `steer`. */
  readings: Reading[];
}

export interface GenerationResult {
  text: string;
  tokens: GeneratedToken[];
  finishReason: "length" | "end" | "stop";
  promptTokens: number;
  /** Time spent on the tokens, without the prompt and without the consumer's time between them. */
  seconds: number;
}

/**
 * Continue a prompt greedily, steered by any number of vectors (REFERENCE §4 and §5).
 *
 * Yields every token as it is decided; their texts joined are the whole text. The generator's return value is the
 * whole result. A model does one generation at a time: others wait until this one has been read to its end or
 * `return()`ed, as `for await` does on `break`.
 *
 * @throws SteeringError E_CONTEXT_FULL, E_MODEL_MISMATCH, E_BAD_SPEC, E_NOT_FINITE, E_ABORTED
 */
export async function* generate(model: Model, prompt: string, options: GenerateOptions = {}): AsyncGenerator<GeneratedToken, GenerationResult> {
  const { maxNewTokens = 128, stop = [], signal } = options;
  const steer = (options.steer ?? []).map(({ vector, schedule, tail }) => ({ vector, schedule: parseSchedule(schedule), tail: parseTail(tail) }));
  checkStops(stop);
  const promptTokens = model.tokenise(prompt);
  checkLength(model, promptTokens.length, maxNewTokens);
  for (const { vector } of steer) assertMadeFor(vector, await model.fingerprint(), options.allowMismatch);

  const nStreams = Streams.count(steer.map(({ schedule }) => schedule));
  using lease = await model.leaseContext({ nCtx: promptTokens.length + nStreams * maxNewTokens, nSeqMax: nStreams }, signal);
  const { context } = lease;
  using properties = new LoadedProperties(context, steer);
  const streams = new Streams(context, properties.list);
  await streams.feed(promptTokens, signal);

  const text = new TextStream(stop);
  const tokens: GeneratedToken[] = [];
  let finishReason: GenerationResult["finishReason"] | undefined;
  let previous = promptTokens.at(-1)!;
  let seconds = 0;
  for (let step = 0; finishReason === undefined; step++) {
    throwIfAborted(signal);
    const begun = performance.now();
    const { outputRow, readings } = await streams.step(previous, promptTokens.length - 1 + step, step, signal);
    const [token] = await context.sampleGreedy([outputRow]) as [number];
    seconds += (performance.now() - begun) / 1000;
    previous = token;

    const ended = model.isEndOfGeneration(token);
    let piece = ended ? "" : text.push(model.detokenise([token]));
    if (text.stoppedBy !== undefined) finishReason = "stop";
    else if (ended) finishReason = "end";
    else if (step + 1 === maxNewTokens) finishReason = "length";
    if (finishReason !== undefined) piece += text.finish();
    if (ended && piece === "") break; // the end mark is passed on only where it frees text that was held back
    const generated: GeneratedToken = { text: piece, token, step, readings };
    tokens.push(generated);
    yield generated;
  }
  return { text: tokens.map((token) => token.text).join(""), tokens, finishReason: finishReason!, promptTokens: promptTokens.length, seconds };
}

/** Continue a prompt and wait for the whole text. */
export async function generateText(model: Model, prompt: string, options: GenerateOptions = {}): Promise<GenerationResult> {
  const generation = generate(model, prompt, options);
  for (;;) {
    const next = await generation.next();
    if (next.done) return next.value;
  }
}

/** Vectors on the native side for the time of one generation. */
class LoadedProperties implements Disposable {
  readonly list: Property[] = [];

  constructor(private readonly context: Context, steer: ReadonlyArray<{ vector: SteeringVector; schedule: Schedule; tail: Tail }>) {
    try {
      for (const { vector, schedule, tail } of steer) this.list.push({ id: context.addVector(vector), vector, schedule, tail });
    } catch (error) {
      this[Symbol.dispose](); // nobody else will: the object was never made
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const { id } of this.list) this.context.removeVector(id);
  }
}

function checkStops(stops: readonly string[]): void {
  if (stops.includes("")) throw new SteeringError("E_BAD_ARGUMENT", "a stop string is empty: it would end every text at once");
}

function checkLength(model: Model, nPrompt: number, maxNewTokens: number): void {
  if (nPrompt === 0) throw new SteeringError("E_BAD_ARGUMENT", "the prompt is empty");
  if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1) throw new SteeringError("E_BAD_ARGUMENT", "maxNewTokens must be an integer of at least 1");
  if (nPrompt + maxNewTokens <= model.info.nCtxTrain) return;
  throw new SteeringError("E_CONTEXT_FULL", `the prompt takes ${nPrompt} tokens and ${maxNewTokens} new ones were asked for; `
    + `the model's context holds ${model.info.nCtxTrain}. Shorten the prompt or ask for fewer tokens.`);
}
