import { signal, type Signal } from "@preact/signals";
import type { z } from "zod";
import type { chatChunkSchema, completionChunkSchema, StepDetails, timingsSchema } from "../../server/schemas/index.js";
import { leftOf, spentWords, type Reading } from "../logic/readings.js";
import type { SteeringEntry } from "../logic/steering.js";

export type Chunk = z.infer<typeof chatChunkSchema> | z.infer<typeof completionChunkSchema>;
export type Timings = z.infer<typeof timingsSchema>;
export type Status = "waiting" | "running" | "done" | "stopped" | "failed";

/** A token as it is shown: what it added to the text, and how it was steered. */
export interface ShownToken extends Omit<StepDetails, "token"> {
  text: string;
}

/** A probe that reads every token. */
export interface Probe {
  id: string;
  title: string;
}

/** How an answer is steered and read. */
export interface Steered {
  /** The column's. */
  title: string;
  /** The vectors with their titles, in the order of the readings. */
  entries: readonly SteeringEntry[];
  titles: readonly string[];
  /** The probes of their gates, in the same order; undefined without a gate. */
  gates: ReadonlyArray<string | undefined>;
  /** In the order of the tokens' `monitors`. */
  probes: readonly Probe[];
  /** What a prompted column asks for; empty for the others. */
  system: string;
}

/** One column's answer to one question; changes are shown together, once per frame. */
export class Answer {
  id: string | undefined;
  readonly tokens: ShownToken[] = [];
  timings: Timings | undefined;
  /** How well the unsteered model would have expected the answer; null if it cannot be measured. */
  perplexity: number | null | undefined;
  error = "";
  private first = 0;
  private last = 0;
  private readonly current: Signal<Status> = signal("waiting");
  /** Counts the changes; reading it subscribes to them. */
  readonly version = signal(0);
  /** The same, but a few times a second only: for what costs more than text, or would flicker. */
  readonly slowVersion = signal(0);

  readonly title: string;
  readonly entries: readonly SteeringEntry[];
  readonly titles: readonly string[];
  readonly gates: Steered["gates"];
  readonly probes: readonly Probe[];
  readonly system: string;

  /** Entries whose schedule was changed while the answer was written: a budget then begins anew. */
  private readonly moved = new Set<number>();

  constructor({ title, entries, titles, gates, probes, system }: Steered) {
    this.title = title;
    this.entries = entries;
    this.titles = titles;
    this.gates = gates;
    this.probes = probes;
    this.system = system;
  }

  /** True if no vector was added and no system message requested anything. */
  get isUnsteered(): boolean {
    return this.entries.length === 0 && this.system === "";
  }

  get status(): Status {
    return this.current.value;
  }

  get text(): string {
    return this.tokens.filter(({ phase }) => phase === "answer").map(({ text }) => text).join("");
  }

  get isRunning(): boolean {
    return this.status === "waiting" || this.status === "running";
  }

  /** Measured so far, until the server has said it. */
  get tokensPerSecond(): number | undefined {
    if (this.timings) return this.timings.tokens_per_second;
    return this.tokens.length > 2 ? ((this.tokens.length - 1) * 1000) / (this.last - this.first) : undefined;
  }

  /** Notes that a slider moved an entry. */
  move(at: number): void {
    this.moved.add(at);
  }

  /** What is left of the budget of an entry after a token; undefined if nobody can know. */
  leftAfter(at: number, step: number): number | undefined {
    return this.moved.has(at) ? undefined : leftOf(this.entries[at]!.schedule, this.readingsOf(at).slice(0, step + 1));
  }

  /** What the budgets spent so far, of every entry that has one. */
  get spent(): string[] {
    return this.entries.flatMap((entry, at) => (this.moved.has(at) ? [] : spentWords(entry, this.readingsOf(at)) ?? []));
  }

  private readingsOf(at: number): Reading[] {
    return this.tokens.flatMap(({ readings }) => readings[at] ?? []);
  }

  add(chunk: Chunk, now: number): void {
    this.id = chunk.id;
    const choice = chunk.choices[0];
    if (choice === undefined) return;
    if (this.current.peek() === "waiting") this.current.value = "running";
    const { steering_details: step } = choice;
    if (step !== undefined) {
      const text = "text" in choice ? choice.text : (choice.delta.reasoning_content ?? "") + (choice.delta.content ?? "");
      this.tokens.push({ ...step, text });
      if (this.tokens.length === 1) this.first = now;
      this.last = now;
    } else if (this.tokens.length > 0) {
      // What was held back as the possible beginning of a stop string.
      this.tokens.at(-1)!.text += "text" in choice ? choice.text : choice.delta.content ?? "";
    }
    if (choice.llama_steer) this.timings = choice.llama_steer.timings;
    changed(this);
  }

  end(status: Status, error = ""): void {
    this.error = error;
    this.current.value = status;
    changed(this);
  }
}

const waiting = new Set<Answer>();

/** Shows the answer's changes in the next frame. */
export function changed(answer: Answer): void {
  if (waiting.size === 0) requestAnimationFrame(show);
  waiting.add(answer);
}

function show(): void {
  const answers = [...waiting];
  waiting.clear();
  for (const answer of answers) {
    answer.version.value++;
    if (answer.isRunning) late.add(answer);
    else answer.slowVersion.value++;
  }
  if (late.size > 0) timer ??= window.setTimeout(showLate, SLOW_MS);
}

const SLOW_MS = 120;
const late = new Set<Answer>();
let timer: number | undefined;

function showLate(): void {
  timer = undefined;
  for (const answer of late) answer.slowVersion.value++;
  late.clear();
}
