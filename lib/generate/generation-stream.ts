import { SteeringError } from "../errors.js";
import { writtenOperation } from "../steering/index.js";
import { LiveSteering, canonicalSpec, steerings, type Steering, type SteerInput } from "./live-steering.js";
import type { GeneratedToken, Generation, GenerationResult, Written } from "./generation.js";
import type { Reading } from "./readings.js";

/** How a generation ended: by itself (`whole`), left in the middle (`left`), or in an error (`failed`). */
export type OnEnd = (how: "whole" | "left" | "failed", written?: Written) => void;

/**
 * A running generation: read its tokens one by one (`for await`), or all at once (`text()`, `result()`).
 *
 * Each token is computed when you request it, and nothing before you request the first. Any number of generations of one model run at
 * once, each with its own vectors; those without room wait. A generation that you stop reading keeps its place, unless all running ones
 * are unread while another waits: then it may lose its place and be recomputed when you continue. It ends early when it is aborted, when
 * you call `return()` (as `for await` does on `break`), or when an `await using` block ends.
 *
 * @hideconstructor
 */
export class GenerationStream implements AsyncGenerator<GeneratedToken, GenerationResult, undefined> {
  private readonly tokens = this.run();
  private readonly leave = new AbortController();
  private toEnd: Promise<GenerationResult> | undefined;
  private whole: GenerationResult | undefined;
  private failure: { error: unknown } | undefined;
  private generation: Generation | undefined;
  private isOver = false;

  /**
   * `begin` starts the generation, which fails when the signal fires. `onEnd` is called once, without a text if nothing was begun.
   */
  constructor(
    private readonly lives: LiveSteering[],
    private readonly load: (live: LiveSteering) => Promise<void>,
    private readonly begin: (left: AbortSignal) => Promise<Generation>,
    private onEnd?: OnEnd,
  ) {}

  /** The active steerings, in the order of the readings. Between tokens, you may change a schedule or drop a vector. */
  get steering(): readonly LiveSteering[] {
    return this.lives;
  }

  /**
   * Adds a vector from the next token on; it comes last in the readings. Its token steps count from the start of the generation. If it
   * is dynamic, the tokens so far are recomputed for its streams. Throws E_BAD_SPEC, E_BAD_ARGUMENT after the generation's end and for
   * what a probe of `monitor` cannot read, E_MODEL_MISMATCH, E_SHAPE, E_NO_SITE, E_NOT_FINITE.
   */
  async add(steering: Steering): Promise<LiveSteering> {
    if (this.isOver) throw new SteeringError("E_BAD_ARGUMENT", "the generation has ended: a vector can only be added while it runs");
    const live = await this.prepare(steering);
    this.take(live);
    return live;
  }

  /** Loads a vector for `take`, without adding it. Throws what `add` throws. @internal */
  async prepare(steering: Steering): Promise<LiveSteering> {
    const live = new LiveSteering(steering);
    await this.load(live);
    return live;
  }

  /** Adds what `prepare` returned, from the next token on. @internal */
  take(live: LiveSteering): void {
    this.lives.push(live);
  }

  /**
   * Computes the next token; after the last one, returns the result. Throws E_CONTEXT_FULL, E_NOT_FINITE, E_ABORTED, E_DISPOSED, and
   * whatever loading the vectors throws.
   */
  next(): Promise<IteratorResult<GeneratedToken, GenerationResult>> {
    return this.tokens.next();
  }

  /** Leaves the generation and frees its place. */
  async return(value?: GenerationResult | PromiseLike<GenerationResult>): Promise<IteratorResult<GeneratedToken, GenerationResult>> {
    this.end(); // now: otherwise a running step would have to finish first
    return this.tokens.return(await value as GenerationResult);
  }

  /** Leaves the generation; rejects with `error`. */
  async throw(error: unknown): Promise<IteratorResult<GeneratedToken, GenerationResult>> {
    await this.return();
    throw error;
  }

  /** For `for await`. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** For `await using`: leaves the generation unless it has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** Reads the remaining tokens and returns the whole result. Throws what `next` throws. */
  result(): Promise<GenerationResult> {
    this.toEnd ??= this.runToEnd();
    return this.toEnd;
  }

  /** Reads to the end and returns the whole text. Throws what `next` throws. */
  async text(): Promise<string> {
    return (await this.result()).text;
  }

  private async *run(): AsyncGenerator<GeneratedToken, GenerationResult, undefined> {
    try {
      const generation = await this.begin(this.leave.signal);
      this.generation = generation;
      for (let token = await generation.nextToken(); token; token = await generation.nextToken()) yield token;
      this.whole = withSpecs(generation.result(), this.lives);
      return this.whole;
    } catch (error) {
      this.failure = { error };
      throw error;
    } finally {
      this.end();
    }
  }

  private async runToEnd(): Promise<GenerationResult> {
    while (!this.whole) {
      if (this.failure) throw this.failure.error;
      const { done } = await this.next();
      if (done && !this.whole) throw new SteeringError("E_ABORTED", "the generation was left before it ended");
    }
    return this.whole;
  }

  private end(): void {
    this.isOver = true;
    this.leave.abort(); // whatever ended it, its place is free; harmless if the generation itself has ended
    const { onEnd } = this;
    delete this.onEnd;
    const isAborted = (this.failure?.error as Partial<SteeringError> | undefined)?.code === "E_ABORTED";
    onEnd?.(this.whole ? "whole" : this.failure && !isAborted ? "failed" : "left", this.generation?.written());
  }
}

/** Alphas per step of the reading at this index; 0 for steps before its steering was added. */
export function alphasOf({ tokens, endReadings }: Pick<GenerationResult, "tokens" | "endReadings">, index: number): number[] {
  const steps: Reading[][] = tokens.map(({ readings }) => readings);
  if (endReadings && steps.at(-1) !== endReadings) steps.push(endReadings);
  return steps.map((readings) => readings[index]?.alpha ?? 0);
}

/**
 * Replaces each schedule with the alphas that a generation had per step, and 0 after its last step. The same prompt, sampling and
 * `ownHistory` then give the same tokens, whatever the schedules were and however they changed during the generation, up to rounding:
 * decodes have fewer rows, so log probabilities can differ in the last digits, and so, rarely, which of two likely tokens is taken.
 *
 * @param steer the steerings in the order of the readings: `steer`, or `generation.steering`
 * @throws SteeringError E_BAD_SPEC
 */
export function replay(steer: SteerInput, result: Pick<GenerationResult, "tokens" | "endReadings">): Steering[] {
  return steerings(steer).map(({ vector, layers, heads, tail, phases, operator, keepNorm }, index) => ({
    vector, schedule: { kind: "recorded", alphas: alphasOf(result, index) },
    ...(layers && { layers }), ...(heads && { heads }), ...(tail && { tail }), ...(phases && { phases }),
    ...writtenOperation({ operator, keepNorm }),
  }));
}

function withSpecs(result: Omit<GenerationResult, "steering">, steer: readonly LiveSteering[]): GenerationResult {
  const nAtStart = (result.tokens[0]?.readings ?? result.endReadings ?? []).length;
  const steering = steer.map((live, index) => {
    const isAsGiven = index < nAtStart && !live.isChanged && live.schedule.kind !== "function";
    return canonicalSpec(live, isAsGiven ? undefined : alphasOf(result, index));
  });
  return { ...result, steering };
}
