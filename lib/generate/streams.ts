import { isDeepStrictEqual } from "node:util";
import { addsTheSame, UNREACHED, type Batch, type Place, type StepResult, type Term } from "../engine/index.js";
import { alphaAt, isDynamic, isMeasured, type Schedule } from "../steering/index.js";
import { Budgets, rowsFor } from "./budgets.js";
import type { History } from "./chat-memory.js";
import { addRow, Gates, isShutAt, settledTerms, type RowTerms } from "./gates.js";
import type { LiveSteering } from "./live-steering.js";
import type { Moment } from "./phase-clock.js";
import type { Reading } from "./readings.js";
import { calmAfter, type Calm } from "./skipping.js";
import type { Composition, Output, OwnBudget, PastStep, Probe, Row } from "./step-rows.js";

/**
 * The streams of one generation (docs/method.md §4 and §5): the unsteered stream P, one strongly steered stream S per
 * dynamic steering, and the output stream. Decoded positions keep their alphas.
 *
 * `steer` may grow, and its schedules may change: `takeSchedules` reads them for the next step. A steering that becomes dynamic needs a
 * stream S, and perhaps P, which have no history yet (`isShort`): `restart` adds these streams, and the steps so far are recomputed as
 * they were. Steps that were not measured the first time are unsteered in S.
 *
 * If the history is clean, P is the only stream: the rows of S and of the output read its cells, and leave none (`Place.fork`).
 *
 * With budgets, the output stream has several sequences, whose rows try different alphas, and which share the chosen row's cell.
 */
export class Streams {
  /** Steerings that have a stream S, in the order of their sequences. */
  private measured: LiveSteering[] = [];
  private readonly decidedSteps: PastStep[] = [];
  private ofPrompt: readonly Term[] | undefined;
  // The current step's schedules, and the terms for the rows of S and for the output row.
  private schedules: ReadonlyMap<LiveSteering, Schedule> = new Map();
  private strong: ReadonlyMap<LiveSteering, readonly Term[]> = new Map();
  /** The terms of each row that the output may be, and which of them it is. */
  private rowTerms: RowTerms[] = [];
  private picked = 0;
  private readonly gates = new Gates();
  private calm: ReadonlyMap<LiveSteering, Calm> = new Map();
  private readonly budgets = new Budgets();
  private nOutputs = 1;
  /** After the last decode: the index of the output's sequence, and whether the first one is that of P. */
  last = { output: 0, hasBaseline: false };

  readonly isClean: boolean;

  /** `canRewind`: the cells of a row can be removed. */
  constructor(private readonly steer: readonly LiveSteering[], ownHistory: History = "as-generated", private readonly canRewind = true) {
    this.isClean = ownHistory === "clean";
    this.takeSchedules();
    this.restart();
  }

  /** Reads the current schedules, for the next step. */
  takeSchedules(): void {
    this.schedules = new Map(this.steer.map((steering) => [steering, steering.takeSchedule()]));
  }

  /** The steerings of the current step. */
  get steered(): LiveSteering[] {
    return [...this.schedules.keys()];
  }

  /** True if P has a stream of its own; without one, it and the output stream are the same. */
  get hasBaseline(): boolean {
    return this.measured.length > 0 || this.isClean;
  }

  /** The index of the first sequence of the output, after those of P and S. */
  get firstOutput(): number {
    return this.hasBaseline ? 1 + this.measured.length : 0;
  }

  get nSequences(): number {
    return this.firstOutput + this.nOutputs;
  }

  /** Number of histories: all rows of the output share one. */
  get nHistories(): number {
    return this.isClean ? 1 : this.firstOutput + 1;
  }

  /** True if a steering lacks sequences: a dynamic one a stream S, or a budget rows to try. */
  get isShort(): boolean {
    return this.dynamic().some((steering) => !this.measured.includes(steering)) || this.nOutputs < rowsFor(this.schedules);
  }

  /** Starts again, with a stream for each steering that is dynamic in the next step, and sequences for budgets. */
  restart(): void {
    this.measured = this.dynamic();
    this.nOutputs = rowsFor(this.schedules);
  }

  /** The steps that have been decided. */
  get past(): readonly PastStep[] {
    return this.decidedSteps;
  }

  /** True if the next step depends on what a gate reads in this one. */
  get isSequence(): boolean {
    return this.gates.isSequence(this.steer);
  }

  /** The terms added to the rows of the prompt, for all streams: those of the steerings at the time of the first call. */
  promptTerms(): readonly Term[] {
    return this.ofPrompt ??= [...this.schedules].filter(([{ phases }]) => phases.includes("prompt")).flatMap(([steering, schedule]) =>
      (isMeasured(schedule) ? [] : steering.termsAt(0, alphaAt(schedule, 0, steering.vector.nSteps))));
  }

  /** The token that a step has already decided; such a step repeats its rows. */
  decided(step: number): number | undefined {
    return this.past[step]?.token;
  }

  /** True if the step's alphas have to be measured before its output row can be steered. */
  isMeasuredAt(step: number, moment: Moment): boolean {
    return this.past[step] === undefined && this.measured.some((steering) => this.isMeasuredNow(steering, step, moment));
  }

  /** Adds the rows of P and S, and requests the KLs between them; undefined if there are no such streams. */
  probe(batch: Batch, { token, position, step, sequences }: Row, moment: Moment): Probe | undefined {
    if (!this.hasBaseline) return undefined;
    const past = this.past[step];
    const beside = this.baseline(step);
    const isRead = this.isClean || this.isMeasuredAt(step, moment);
    const baseline = batch.add(token, position, sequences[0]!, { output: isRead, terms: beside });
    const probe: Probe = {
      step, token, moment, baseline, schedules: this.schedules, requests: new Map(), strong: new Map(), strongRows: new Map(), alphas: [],
    };
    for (const [index, steering] of this.measured.entries()) {
      const schedule = this.schedules.get(steering)!;
      const isMeasured = past === undefined && this.isMeasuredNow(steering, step, moment);
      if (this.isClean && !isMeasured) continue; // its row would leave nothing
      // The stream of a steering that is not measured now continues unsteered.
      const terms = past ? past.strong.get(steering) ?? beside : [...beside, ...this.strongTerms(steering, schedule, step, moment)];
      const strong = batch.add(token, position, sequences[index + 1]!, { output: isMeasured, terms });
      if (!past) probe.strong.set(steering, terms);
      if (!isMeasured || !isDynamic(schedule)) continue;
      probe.requests.set(steering, batch.measure({ ...schedule, baseline, strong }));
      probe.strongRows.set(steering, strong);
    }
    return probe;
  }

  /** True if a probe that was made earlier is that of this step: its token, phase and schedules are those that were expected. */
  fits({ step, token, moment, schedules }: Probe, place: Place, now: Moment): boolean {
    return step === place.step && token === place.token && isDeepStrictEqual(moment, now)
      && this.measured.every((steering) => schedules.get(steering) === this.schedules.get(steering));
  }

  /** True if the output row is nothing but that of P or of one S where its alphas are 0 or the strong one; a gate may change it. */
  settles({ requests }: Probe): boolean {
    return this.isClean && requests.size === this.schedules.size && this.steer.every(({ gate }) => !gate);
  }

  /**
   * Adds the output row, steered with every steering's alpha, or the rows that budgets choose from; `probe`: what was measured for this
   * step, or has rows in this batch.
   */
  output(batch: Batch, { token, position, step, sequences }: Row, moment: Moment, probe: Probe | undefined): Output {
    const composition = this.compose(step, moment, probe);
    // With a clean history, a row with the terms of P is that of P.
    const isOfP = this.isClean && (this.past[step] !== undefined || addsTheSame(this.rowTerms[0]!.terms, this.baseline(step)));
    const outputs = sequences.slice(this.firstOutput);
    const add = (index: number, existing?: number): number =>
      addRow(batch, { token, position, sequence: outputs[index]! }, this.rowTerms[index]!, existing);
    const rows = [add(0, probe?.requests.size === 0 && isOfP ? probe.baseline : undefined)];
    this.last = { output: this.firstOutput, hasBaseline: this.hasBaseline };
    const tryRow = (alphas: readonly number[]): number => {
      this.rowTerms.push(this.termsOf(step, moment, alphas));
      return rows.push(add(rows.length)) - 1;
    };
    const alphas = composition.readings.map(({ alpha }) => alpha);
    const choices = this.budgets.request(batch, this.budgetsAt(step, moment), alphas, rows, tryRow);
    const row = choices[0] ? -1 - choices[0].index : rows[0]!;
    const isTentative = this.canRewind && this.measured.length === 0 && this.budgets.mayTryAgain(choices); // Dyn may have rows ahead
    return { ...composition, candidates: probe?.candidates, row, rows, choices, isTentative };
  }

  /** Takes what budgets measured that found no alpha, before their rows are computed again with other ones. Throws E_NOT_FINITE. */
  tryAgain({ choices }: Output, { chosen }: StepResult): void {
    this.budgets.tryAgain(choices, chosen);
  }

  /** Takes the row that the budgets chose. Throws E_NOT_FINITE. */
  choose({ choices, readings, steps, picked }: Output, { chosen, gates }: StepResult): Composition {
    for (const choice of choices) {
      const found = chosen[choice.index]!;
      if (found.index === UNREACHED) continue;
      picked = choice.rows[1 + found.index]!;
      const isShut = isShutAt(this.rowTerms[picked]!, choice.steering, gates);
      readings = readings.with(choice.own, this.budgets.take(choice, found, isShut));
    }
    this.picked = picked;
    this.last = { ...this.last, output: this.firstOutput + picked };
    return { readings, steps, picked };
  }

  /** Before the rows of a step: lets all sequences of the output begin with the history of its last row. */
  shareOutput({ position, sequences, fork }: Pick<Place, "position" | "sequences" | "fork">): void {
    if (this.isClean) return;
    const outputs = sequences.slice(this.firstOutput);
    const from = outputs[this.last.output - this.firstOutput] ?? outputs[0]!; // before the first row, they are all the same
    for (const each of outputs) if (each !== from) fork(each, position, from);
  }

  /** Combines every steering's alpha into the terms of the output row. */
  compose(step: number, moment: Moment, probe: Probe | undefined): Composition {
    const past = this.past[step];
    const calm = new Map(this.calmBefore(step));
    const readings = past ? [] : [...this.schedules].map(([steering, schedule]): Reading => {
      const own = this.ownStep(steering, moment, step);
      if (own === undefined) return { alpha: 0, kl: null };
      const reading = this.read(steering, schedule, { own, step }, probe);
      if (isDynamic(schedule)) calm.set(steering, calmAfter(this.calmOf(steering, step), schedule, reading));
      return steering.actsAt(own) ? reading : { ...reading, alpha: 0 }; // nothing is added past the vector's end
    });
    this.strong = probe?.strong ?? new Map();
    this.picked = 0;
    this.rowTerms = [past ? { terms: past.terms, gates: new Map() } : this.termsOf(step, moment, readings.map(({ alpha }) => alpha))];
    this.calm = calm;
    return { readings, steps: past ? [] : this.steered.map((each) => each.stepAt(moment, step) ?? 0), picked: 0 };
  }

  /** Takes what the gates of the current step have read; returns its readings, with what was added. Throws E_NOT_FINITE. */
  takeGates(gates: StepResult["gates"], readings: readonly Reading[]): Reading[] {
    const { terms, gates: requests } = this.rowTerms[this.picked]!;
    this.rowTerms[this.picked] = { terms: settledTerms(terms, gates), gates: requests };
    return this.gates.take(this.steered, requests, gates, readings);
  }

  /** Records the current step's terms and the token that it decided. */
  decide(token: number): void {
    const { strong, calm } = this;
    const { terms } = this.rowTerms[this.picked]!;
    this.decidedSteps.push({ token, terms, strong, calm, baseline: this.baseline(this.past.length) });
  }

  /** What the rows of P and S have beside what is measured: the first step's row is the prompt's last. */
  private baseline(step: number): readonly Term[] {
    return step === 0 ? this.promptTerms() : [];
  }

  /** The terms of a row that is steered with these alphas, one per steering. */
  private termsOf(step: number, moment: Moment, alphas: readonly number[]): RowTerms {
    const gates: RowTerms["gates"] = new Map();
    const terms = this.steered.flatMap((steering, index) => {
      const own = this.ownStep(steering, moment, step);
      return this.gates.apply(steering, own === undefined ? [] : steering.termsAt(own, alphas[index]!), gates);
    });
    return { terms, gates };
  }

  /** The budgets that have to choose an alpha in a step, in order. */
  private budgetsAt(step: number, moment: Moment): OwnBudget[] {
    if (this.past[step]) return [];
    return [...this.schedules].flatMap(([steering, schedule], own) => {
      if (schedule.kind !== "budget" || !this.budgets.canSpend({ steering, schedule })) return [];
      const at = this.ownStep(steering, moment, step);
      return at !== undefined && steering.actsAt(at) ? [{ steering, schedule, own }] : [];
    });
  }

  private read(steering: LiveSteering, schedule: Schedule, { own, step }: Record<"own" | "step", number>, probe?: Probe): Reading {
    // What was recorded counts from the start of the generation, whatever its phases were.
    if (schedule.kind === "recorded") return { alpha: schedule.alphas[step] ?? 0, kl: null };
    if (schedule.kind === "budget") return { alpha: 0, kl: this.budgets.canSpend({ steering, schedule }) ? null : 0 }; // until chosen
    if (!isDynamic(schedule)) return { alpha: alphaAt(schedule, own, steering.vector.nSteps), kl: null };
    const index = probe?.requests.get(steering);
    return index === undefined ? { alpha: this.calmOf(steering, step)!.alpha, kl: null } : probe!.alphas[index]!;
  }

  /** How calm each steering is before a step, at most the one after the current one. */
  private calmBefore(step: number): ReadonlyMap<LiveSteering, Calm> | undefined {
    return step > this.past.length ? this.calm : this.past[step - 1]?.calm;
  }

  private calmOf(steering: LiveSteering, step: number): Calm | undefined {
    const calm = this.calmBefore(step)?.get(steering);
    return calm?.schedule === this.schedules.get(steering) ? calm : undefined;
  }

  /** The token step in the steering's phases; undefined where it is not steered, whatever its schedule is. */
  private ownStep(steering: LiveSteering, moment: Moment, step: number): number | undefined {
    return this.gates.isShut(steering) ? undefined : steering.stepAt(moment, step);
  }

  private isMeasuredNow(steering: LiveSteering, step: number, moment: Moment): boolean {
    return isDynamic(this.schedules.get(steering)!) && this.ownStep(steering, moment, step) !== undefined
      && !this.calmOf(steering, step)?.left;
  }

  private strongTerms(steering: LiveSteering, schedule: Schedule, step: number, moment: Moment): Term[] {
    const own = this.ownStep(steering, moment, step);
    return own === undefined || !isDynamic(schedule) ? [] : steering.termsAt(own, schedule.strongAlpha);
  }

  private dynamic(): LiveSteering[] {
    return this.steered.filter((steering) => isDynamic(this.schedules.get(steering)!));
  }
}
