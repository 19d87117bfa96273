import { SteeringError } from "../errors.js";
import { LiveSteering, canonicalSpec, steerings, type Steering, type SteerInput } from "./live-steering.js";
import type { GeneratedToken, GenerationResult } from "./generation.js";
import type { Property, Reading } from "./streams.js";

/**
 * A generation: its tokens as they are decided (`for await`), or all of them at once (`text()`, `result()`).
 *
 * A token is computed when it is asked for; nothing is computed before the first one is. Any number of generations of one
 * model run at once, each with its own vectors; those that find no room wait. One that is not read on keeps its place, unless
 * all are unread while another waits: then it is computed again when it is read on. It is over when it is `return()`ed, as
 * `for await` does on `break`, aborted, or left by `await using`.
 *
 * @hideconstructor
 */
export class GenerationStream implements AsyncGenerator<GeneratedToken, GenerationResult, undefined> {
  private readonly lives: LiveSteering[];
  private readonly properties: Property[] = [];
  private readonly tokens: AsyncGenerator<GeneratedToken, Omit<GenerationResult, "steering">>;
  private whole: GenerationResult | undefined;
  private failure: { error: unknown } | undefined;
  private isOver = false;
  private reading: Promise<GenerationResult> | undefined;

  private readonly leave = new AbortController();

  /** `begin`: the tokens, which end when the signal fires. `onEnd` is called once, with nothing where the generation was left or failed. */
  constructor(steer: LiveSteering[], private readonly load: (live: LiveSteering) => Promise<Property>, begin: (properties: Property[], left: AbortSignal) => AsyncGenerator<GeneratedToken, Omit<GenerationResult, "steering">>, private onEnd?: (result?: GenerationResult) => void) {
    this.lives = steer;
    this.tokens = begin(this.properties, this.leave.signal);
  }

  /** What steers, in the order of the readings: change a schedule, or drop a vector, between tokens. */
  get steering(): readonly LiveSteering[] {
    return this.lives;
  }

  /**
   * Add a vector from the next token on; it comes last in the readings. Its directions are those of the generation's
   * token steps. One that is dynamic has the tokens so far computed again, for its streams. Throws E_BAD_SPEC,
   * E_BAD_ARGUMENT after the generation's end, E_MODEL_MISMATCH, E_SHAPE, E_NO_SITE, E_NOT_FINITE.
   */
  async add(steering: Steering): Promise<LiveSteering> {
    const live = new LiveSteering(steering);
    if (this.isOver) throw new SteeringError("E_BAD_ARGUMENT", "the generation has ended: there is nothing to add to");
    const property = await this.load(live);
    // Before the first token, those of `steer` are not loaded yet: this one will be with them.
    if (this.properties.length === this.lives.length) this.properties.push(property);
    this.lives.push(live);
    return live;
  }

  /** The next token, computed now; the result once there is none. Throws E_CONTEXT_FULL, E_NOT_FINITE, E_ABORTED, E_DISPOSED, and what loading the vectors throws. */
  async next(): Promise<IteratorResult<GeneratedToken, GenerationResult>> {
    const next = await this.tokens.next().catch((error: unknown) => {
      this.failure ??= { error };
      this.end();
      throw error;
    });
    if (!next.done) return next;
    const ended = next.value as Omit<GenerationResult, "steering"> | undefined; // undefined when it is asked again after its end
    if (ended) this.whole = withSpecs(ended, this.lives);
    this.end();
    return { done: true, value: ended && this.whole } as IteratorReturnResult<GenerationResult>;
  }

  /** Leave the generation, and free its place. */
  async return(value?: GenerationResult | PromiseLike<GenerationResult>): Promise<IteratorResult<GeneratedToken, GenerationResult>> {
    this.leave.abort(); // a step that is waited for would have to come first
    this.end();
    return await this.tokens.return(await value as GenerationResult) as IteratorResult<GeneratedToken, GenerationResult>;
  }

  /** Leave the generation; rejects with `error`. */
  async throw(error: unknown): Promise<IteratorResult<GeneratedToken, GenerationResult>> {
    this.leave.abort();
    this.end();
    return await this.tokens.throw(error) as IteratorResult<GeneratedToken, GenerationResult>;
  }

  /** For `for await`. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** For `await using`: leaves the generation where it has not ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** Everything, once the generation has ended; reads what nobody has read yet. Throws what reading throws. */
  result(): Promise<GenerationResult> {
    this.reading ??= this.readToEnd();
    return this.reading;
  }

  /** The whole text. Throws what reading throws. */
  async text(): Promise<string> {
    return (await this.result()).text;
  }

  private end(): void {
    this.isOver = true;
    const { onEnd } = this;
    delete this.onEnd;
    onEnd?.(this.whole);
  }

  private async readToEnd(): Promise<GenerationResult> {
    while (!this.whole) {
      if (this.failure) throw this.failure.error;
      const { done } = await this.next();
      if (done && !this.whole) throw new SteeringError("E_ABORTED", "the generation was left before its end");
    }
    return this.whole;
  }
}

/** Alphas per step of the reading with this index, 0 where it was not there yet. */
export function alphasOf({ tokens, endReadings }: Pick<GenerationResult, "tokens" | "endReadings">, index: number): number[] {
  const steps: Reading[][] = tokens.map(({ readings }) => readings);
  if (endReadings && steps.at(-1) !== endReadings) steps.push(endReadings);
  return steps.map((readings) => readings[index]?.alpha ?? 0);
}

/**
 * The same steering with the alphas that a generation had, per step, and 0 beyond its last one: the same prompt and
 * sampling then give the same tokens, whatever its schedules were and however they were changed on the way.
 *
 * @param steer what steered, in the order of the readings: `steer`, or `generation.steering`
 * @throws SteeringError E_BAD_SPEC
 */
export function replay(steer: SteerInput, result: Pick<GenerationResult, "tokens" | "endReadings">): Steering[] {
  return steerings(steer).map(({ vector, layers, heads, tail }, index) => ({
    vector, schedule: { kind: "recorded", alphas: alphasOf(result, index) },
    ...(layers && { layers }), ...(heads && { heads }), ...(tail && { tail }),
  }));
}

function withSpecs(result: Omit<GenerationResult, "steering">, steer: readonly LiveSteering[]): GenerationResult {
  const wasThere = (index: number): boolean => (result.tokens[0]?.readings ?? result.endReadings ?? []).length > index;
  return { ...result, steering: steer.map((live, index) => canonicalSpec(live, live.isChanged || live.schedule.kind === "function" || !wasThere(index) ? alphasOf(result, index) : undefined)) };
}
