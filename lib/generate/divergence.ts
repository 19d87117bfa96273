import { STEERED_ROWS, type Batch, type Engine, type Place, type StepTask, type TakeResult, type Term } from "../engine/index.js";
import { SteeringError } from "../errors.js";
import { checkLength } from "./generate.js";
import type { GenerationResult } from "./generation.js";
import { alphasOf, replay } from "./generation-stream.js";
import { LiveSteering, type Steering } from "./live-steering.js";
import { openingAfter, PhaseClock } from "./phase-clock.js";
import { notFinite } from "./readings.js";

/** The whole vocabulary, and no reduction: the KL itself. */
const WHOLE = { topP: 1, alphaMax: 0, klReduction: "sum" } as const;

/**
 * Measures how far steering moved the model while it wrote an answer: KL(unsteered ‖ steered) of the next token's distribution, in nats, at
 * each of the answer's tokens, its end included (docs/method.md §6). Both streams read the same tokens; in the unsteered one nothing was
 * ever added to them. Vectors are added with the alphas that the generation had.
 *
 * @param steer as the generation was given it; phases must not include "prompt", which both streams share
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_SPEC, E_CONTEXT_FULL, E_MODEL_MISMATCH, E_NO_SITE, E_SHAPE, E_NOT_FINITE, E_ABORTED
 */
export async function divergence(
  model: Engine, prompt: readonly number[], steer: readonly Steering[],
  result: Pick<GenerationResult, "tokens" | "endReadings">, signal?: AbortSignal,
): Promise<number[]> {
  if (steer.some(({ phases }) => phases?.includes("prompt"))) {
    throw new SteeringError("E_BAD_ARGUMENT", "the divergence of an answer cannot be measured where the prompt is steered, too");
  }
  const nSteps = Math.max(0, ...steer.map((_, index) => alphasOf(result, index).length));
  if (nSteps === 0) return [];
  const tokens = result.tokens.map(({ token }) => token);
  checkLength(model, prompt.length, nSteps);
  const live = replay(steer, result).map((steering) => new LiveSteering(steering));
  for (const each of live) await each.load(model);
  const task = new Divergence(model, prompt, tokens, nSteps, live);
  await model.scheduler.run(task, signal);
  return task.kls;
}

/** A task of the scheduler: for each step a row without the vectors and one with them, as many steps per decode as there is room for. */
class Divergence implements StepTask {
  readonly kind = "steps";
  readonly nSequences = 2;
  readonly mixedRows = STEERED_ROWS;
  readonly kls: number[] = [];
  private readonly clock: PhaseClock;

  constructor(
    private readonly model: Engine, readonly prompt: readonly number[], private readonly tokens: readonly number[],
    readonly maxNewTokens: number, private readonly steer: readonly LiveSteering[],
  ) {
    this.clock = new PhaseClock(model, openingAfter(model, prompt));
  }

  step(batch: Batch, place: Place): TakeResult {
    const [unsteered, steered] = place.sequences;
    const moreSteps = this.model.info.hasWholeSequences ? 0 : Math.floor(place.moreRows / 2);
    const end = Math.min(place.step + 1 + moreSteps, this.maxNewTokens);
    const measured: number[] = [];
    for (let step = place.step; step < end; step++) {
      const [token, position] = [step === place.step ? place.token : this.tokens[step - 1]!, place.position + step - place.step];
      const baseline = batch.add(token, position, unsteered!, { output: true });
      const strong = batch.add(token, position, steered!, { output: true, terms: this.termsAt(step) });
      measured.push(batch.measure({ ...WHOLE, baseline, strong }));
      const next = this.tokens[step];
      if (next !== undefined) this.clock.take(next, this.model.detokenise([next]));
    }
    return ({ alphas }) => {
      const found = measured.map((index) => alphas[index]!.kl);
      if (!found.every(Number.isFinite)) throw notFinite();
      this.kls.push(...found);
      return { token: this.tokens[end - 1] ?? place.token, nSteps: end - place.step, hasEnded: end === this.maxNewTokens };
    };
  }

  private termsAt(step: number): Term[] {
    const moment = this.clock.now();
    return this.steer.flatMap((steering) => {
      const own = steering.stepAt(moment, step);
      const schedule = steering.takeSchedule();
      const alpha = schedule.kind === "recorded" ? schedule.alphas[step] ?? 0 : 0;
      return own === undefined || alpha === 0 ? [] : steering.termsAt(own, alpha);
    });
  }
}
