import type { Batch, Candidate, StepResult } from "../engine/index.js";
import type { LiveSteering } from "./live-steering.js";
import type { Probe, StreamCandidates } from "./step-rows.js";

/** The likeliest tokens of one step; log probabilities in nats, before the sampler's settings. */
export interface TokenCandidates {
  /** Under the steered distribution. */
  output: readonly Candidate[];
  /** In the unsteered stream P; null if the step measures nothing. */
  unsteered: readonly Candidate[] | null;
  /** In stream S of each reading; null for schedules that do not measure. */
  strong: ReadonlyArray<readonly Candidate[] | null>;
}

/** Reads the `n` likeliest tokens of each stream of one generation. */
export class CandidateReader {
  private ofStreams: StreamCandidates | undefined;
  /** Index of the output row's candidates in the result. */
  private output = -1;

  constructor(private readonly n: number, private readonly steer: readonly LiveSteering[]) {}

  /** Requests the candidates of the output row; those of the other streams were read when they were measured. */
  decide(batch: Batch, row: number, ofStreams: StreamCandidates | undefined): void {
    this.ofStreams = ofStreams;
    this.output = batch.rank(row, this.n);
  }

  /** Requests the candidates of the rows of P and S; returns what reads them off the result. */
  measure(batch: Batch, probe: Probe): (result: StepResult) => void {
    const unsteered = batch.rank(probe.baseline, this.n);
    const strong = Array.from(probe.strongRows, ([steering, row]) => [steering, batch.rank(row, this.n)] as const);
    return ({ candidates }) => {
      probe.candidates = {
        unsteered: candidates[unsteered]!, strong: new Map(strong.map(([steering, index]) => [steering, candidates[index]!])),
      };
    };
  }

  /** The candidates of a step with this number of readings. */
  read({ candidates }: StepResult, nReadings: number): TokenCandidates {
    const strong = this.steer.slice(0, nReadings).map((steering) => this.ofStreams?.strong.get(steering) ?? null);
    return { output: candidates[this.output]!, unsteered: this.ofStreams?.unsteered ?? null, strong };
  }
}
