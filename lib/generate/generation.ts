import { STEERED_ROWS, type Batch, type Engine, type MeasuredAlpha, type Place, type Sampling, type StepTask } from "../engine/index.js";
import type { Monitor } from "../probe/index.js";
import type { SteeringSpec } from "../steering/index.js";
import type { LiveSteering } from "./live-steering.js";
import { notFinite, Streams, type Reading } from "./streams.js";
import { TextStream } from "./text-stream.js";

/** One token of an answer, with the readings of its step. */
export interface GeneratedToken {
  /** The text that this token completed: empty inside a UTF-8 character or a possible stop string. */
  text: string;
  token: number;
  /** Token step, from 0. */
  step: number;
  /** One per entry of `steer` and per steering added later. */
  readings: Reading[];
  /** In nats, under the steered distribution before sampling; only with `logProbabilities`. */
  logProbability?: number;
  /** One probability per probe of `monitor`, for the state that chose this token; only with `monitor`. */
  monitors?: number[];
}

/** The result of a generation. */
export interface GenerationResult {
  text: string;
  tokens: GeneratedToken[];
  /** The steerings in canonical form, one per reading: as given or, for those changed during the generation, with recorded alphas. */
  steering: SteeringSpec[];
  /** Readings of the step that chose the end mark; null if the text ended for another reason. */
  endReadings: Reading[] | null;
  finishReason: "length" | "end" | "stop";
  promptTokens: number;
  /** Duration of the steps that produced the tokens; other generations may have shared these steps. */
  seconds: number;
}

export interface GenerationSettings {
  prompt: readonly number[];
  /** May grow. */
  steer: readonly LiveSteering[];
  sampling: Sampling;
  maxNewTokens: number;
  stop: readonly string[];
  logProbabilities: boolean;
  monitor: Monitor | undefined;
}

/** A generation as a task of the scheduler: each token is computed when it is requested. */
export class Generation implements StepTask {
  readonly kind = "steps";
  readonly prompt: readonly number[];
  readonly maxNewTokens: number;
  readonly mixedRows = STEERED_ROWS;
  private readonly streams: Streams;
  private readonly sampler;
  private readonly constraint;
  private readonly text: TextStream;
  private readonly tokens: GeneratedToken[] = [];
  private readings: Reading[] = [];
  /** True if the current step repeats one that was decided before a restart. */
  private isRepeat = false;
  private seconds = 0;
  private finishReason: GenerationResult["finishReason"] | undefined;
  private failure: { error: unknown } | undefined;
  private consumer: { resolve: (token: GeneratedToken | undefined) => void; reject: (error: unknown) => void } | undefined;

  constructor(private readonly model: Engine, private readonly settings: GenerationSettings) {
    this.prompt = settings.prompt;
    this.maxNewTokens = settings.maxNewTokens;
    this.streams = new Streams(settings.steer);
    this.sampler = model.createSampler(settings.sampling, settings.prompt);
    this.constraint = model.createConstraint(settings.sampling);
    this.text = new TextStream(settings.stop);
  }

  /** Submits the generation to the scheduler; it fails with E_ABORTED when one of the signals fires. */
  start(...signals: ReadonlyArray<AbortSignal | undefined>): void {
    this.model.scheduler.run(this, ...signals).catch((error: unknown) => {
      this.failure = { error };
      this.settle(({ reject }) => reject(error));
    });
  }

  /** Returns the next token, or undefined at the end. */
  nextToken(): Promise<GeneratedToken | undefined> {
    if (this.failure) return Promise.reject(this.failure.error as Error);
    if (this.finishReason) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.consumer = { resolve, reject };
      this.streams.takeSchedules();
      if (!this.streams.isShort) return this.model.scheduler.wake();
      this.streams.restart(); // recomputes the steps so far, with the missing streams
      this.model.scheduler.restart(this);
    });
  }

  result(): Omit<GenerationResult, "steering"> {
    const { tokens, readings, seconds } = this;
    return {
      text: tokens.map(({ text }) => text).join(""), tokens, endReadings: this.finishReason === "end" ? readings : null,
      finishReason: this.finishReason!, promptTokens: this.prompt.length, seconds,
    };
  }

  get nSequences(): number {
    return this.streams.nSequences;
  }

  isWanted(): boolean {
    return this.consumer !== undefined;
  }

  measure(batch: Batch, place: Place): void {
    this.streams.measure(batch, place);
  }

  output(batch: Batch, place: Place, measured: readonly MeasuredAlpha[]): number {
    const { row, readings } = this.streams.output(batch, place, measured);
    const decided = this.streams.decided(place.step);
    this.isRepeat = decided !== undefined;
    if (decided !== undefined) return batch.score(row, decided);
    this.readings = readings;
    this.settings.monitor?.watch(batch, row);
    return batch.sample(row, this.sampler, { logProbability: this.settings.logProbabilities, allowed: this.constraint?.allowed() });
  }

  accept(token: number, seconds: number, logProbability: number): boolean {
    if (token < 0) throw notFinite();
    this.seconds += seconds;
    if (this.isRepeat) return true;
    this.streams.decide(token);
    const step = this.tokens.length;
    const monitors = this.settings.monitor?.read(step, this.readings);
    const ended = this.model.isEndOfGeneration(token);
    const bytes = ended ? undefined : this.model.detokenise([token]);
    if (bytes) this.constraint?.accept(bytes);
    let piece = bytes ? this.text.push(bytes) : "";
    if (this.text.stoppedBy !== undefined) this.finishReason = "stop";
    else if (ended) this.finishReason = "end";
    else if (step + 1 === this.maxNewTokens) this.finishReason = "length";
    if (this.finishReason !== undefined) piece += this.text.finish();
    const isShown = !ended || piece !== ""; // the end mark is only yielded if it releases held-back text
    const generated = isShown ? {
      text: piece, token, step, readings: this.readings,
      ...(this.settings.logProbabilities && { logProbability }), ...(monitors && { monitors }),
    } : undefined;
    if (generated) this.tokens.push(generated);
    this.settle(({ resolve }) => resolve(generated));
    return this.finishReason === undefined;
  }

  private settle(use: (consumer: NonNullable<Generation["consumer"]>) => void): void {
    const { consumer } = this;
    this.consumer = undefined;
    if (consumer) use(consumer);
  }
}
