import { randomUUID } from "node:crypto";
import type { GenerationStream, LiveSteering, Steering } from "../../generate/index.js";
import type { ScheduleInput, SteeringSpec } from "../../steering/index.js";
import { steeringsOf } from "../vectors/steering.js";
import type { Shelf } from "../vectors/shelf.js";
import { HttpError } from "../http/errors.js";
import type { Metrics } from "../http/metrics.js";
import type { Lease } from "../pool/pool.js";
import { MOST_OF_ANSWER, type SteeringChange } from "../schemas/index.js";
import { Choice, type ChoiceEvent } from "./choice.js";
import { merged } from "./merged.js";
import type { AnswerSettings, ChoiceSettings } from "./settings.js";

export type Status = "queued" | "running" | "completed" | "cancelled" | "failed";

/** What all answers of a server share. */
export interface Surroundings {
  shelf: Shelf;
  metrics: Metrics;
  /** Seconds that a request may take. */
  timeout: number;
}

/** The answer to one request: one or several choices, written at once. */
export class Answer {
  readonly id: string;
  readonly created = Math.floor(Date.now() / 1000);
  readonly choices: readonly Choice[];
  readonly modelId: string;
  private state: Status = "queued";
  private readonly arrived = performance.now();
  private readonly stop = new AbortController();

  constructor(
    readonly kind: "chat" | "text", readonly settings: AnswerSettings, choices: readonly ChoiceSettings[],
    private readonly lease: Lease, private readonly surroundings: Surroundings,
  ) {
    this.id = `${kind === "chat" ? "chatcmpl" : "cmpl"}-${randomUUID().replaceAll("-", "")}`;
    this.choices = choices.map((choice) => new Choice(choice, settings));
    this.modelId = lease.id;
  }

  get status(): Status {
    return this.state;
  }

  get model(): Lease["model"] {
    return this.lease.model;
  }

  get steering(): SteeringSpec[] {
    return this.choices[0]!.specs(this.surroundings.shelf);
  }

  specsOf(choice: Choice): SteeringSpec[] {
    return choice.specs(this.surroundings.shelf);
  }

  /** Fires when the answer is cancelled, or late. */
  get signal(): AbortSignal {
    return this.stop.signal;
  }

  /** Ends the answer early, for this reason. */
  cancel(reason: HttpError): void {
    this.stop.abort(reason);
  }

  /** Writes all choices, as soon as there is a place for them. Throws 429, 504, and what generations throw. */
  async *write(): AsyncGenerator<ChoiceEvent, void> {
    const { lease, surroundings: { shelf, metrics, timeout }, stop: { signal }, arrived } = this;
    const timer = setTimeout(() => this.cancel(late(timeout)), timeout * 1000);
    let leave = (): void => undefined;
    try {
      leave = await lease.gate.enter(this.choices.length, signal);
      this.state = "running";
      const writing = { model: lease.model, shelf, owner: this, signal, arrived };
      for await (const event of merged(this.choices.map((choice) => choice.write(writing)))) {
        if (event.kind === "end") measure(metrics, event);
        yield event;
      }
      this.state = "completed";
    } catch (error) {
      this.state = signal.aborted ? "cancelled" : "failed";
      throw signal.aborted ? signal.reason : error;
    } finally {
      if (this.state === "running" || this.state === "queued") this.state = "cancelled"; // the client has left
      clearTimeout(timer);
      leave();
      lease[Symbol.dispose]();
    }
  }

  /** Changes what steers, from the next token on: all of it, or nothing. Throws 400, 404, 409, and what loading vectors throws. */
  async change(changes: readonly SteeringChange[], only: number | undefined): Promise<void> {
    const chosen = this.choices.filter(({ index }) => only === undefined || index === only);
    if (chosen.length === 0) throw new HttpError(400, `there is no choice ${only}`, { code: "E_BAD_ARGUMENT", param: "choice" });
    let running = this.runningOf(chosen);
    const loaded = await Promise.all(changes.map((change) =>
      ("add" in change ? steeringsOf(this.surroundings.shelf, change.add, this.model) : [])));
    const prepared = new Map<GenerationStream, LiveSteering[][]>();
    do {
      for (const stream of running) if (!prepared.has(stream)) prepared.set(stream, await preparedFor(stream, loaded));
      running = this.runningOf(chosen); // some may have ended or begun meanwhile
    } while (running.some((stream) => !prepared.has(stream)));
    // From here on nothing waits, so no other change comes in between.
    for (const stream of running) check(changes, prepared.get(stream)!, stream.steering);
    for (const stream of running) apply(changes, prepared.get(stream)!, stream);
  }

  /** Throws 409 if none of the choices is being written. */
  private runningOf(chosen: readonly Choice[]): GenerationStream[] {
    const running = chosen.flatMap(({ running: stream }) => (stream ? [stream] : []));
    if (running.length > 0) return running;
    throw new HttpError(409, this.state === "queued" ? "the answer has not begun" : "the answer has ended",
      { code: this.state === "queued" ? "generation_queued" : "generation_ended" });
  }
}

type Change = Exclude<SteeringChange, { add: unknown }>;

const scheduleOf = (change: Exclude<Change, { drop: unknown }>): ScheduleInput =>
  ("alpha" in change ? { kind: "fixed", alpha: change.alpha } : change.schedule);

/** Loads what each of the changes adds. */
async function preparedFor(stream: GenerationStream, loaded: ReadonlyArray<readonly Steering[]>): Promise<LiveSteering[][]> {
  return Promise.all(loaded.map((each) => Promise.all(each.map((steering) => stream.prepare(steering)))));
}

function apply(changes: readonly SteeringChange[], added: ReadonlyArray<readonly LiveSteering[]>, stream: GenerationStream): void {
  for (const [at, change] of changes.entries()) {
    for (const live of added[at]!) stream.take(live);
    if ("add" in change) continue;
    const live = stream.steering[change.index]!;
    if ("drop" in change) live.drop();
    else live.schedule = scheduleOf(change);
  }
}

/**
 * Throws, before anything is changed: 400 for an index that no steering has when its change is made, and for too many steerings; E_BAD_SPEC
 * for a schedule that a steering cannot have.
 */
function check(changes: readonly SteeringChange[], added: ReadonlyArray<readonly LiveSteering[]>, before: readonly LiveSteering[]): void {
  const refusal = (message: string): HttpError => new HttpError(400, message, { code: "E_BAD_ARGUMENT", param: "changes" });
  const all = [...before];
  for (const [at, change] of changes.entries()) {
    all.push(...added[at]!);
    if (all.length > MOST_OF_ANSWER) throw refusal(`the answer would have ${all.length} steerings; expected at most ${MOST_OF_ANSWER}`);
    if ("add" in change) continue;
    const live = all[change.index];
    if (!live) throw refusal(`the answer has no steering ${change.index}`);
    if (!("drop" in change)) live.checkSchedule(scheduleOf(change));
  }
}

function measure(metrics: Metrics, { ended: { result, firstTokenSeconds } }: ChoiceEvent & { kind: "end" }): void {
  metrics.promptTokens.inc(result.promptTokens);
  metrics.cachedTokens.inc(result.cachedTokens);
  metrics.tokens.inc(result.tokens.length);
  metrics.decodes.inc(result.work.decodes);
  metrics.firstToken.observe(firstTokenSeconds);
}

function late(seconds: number): HttpError {
  return new HttpError(504, `the answer was not finished within ${seconds} seconds`, { code: "timeout" });
}
