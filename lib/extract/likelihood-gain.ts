import type { SteeringError } from "../errors.js";
import type { Engine } from "../engine/index.js";
import { generateText, scoreTokens, type Steering } from "../generate/index.js";
import { promptTokens, type FormatOptions } from "../prompt/index.js";
import type { WrittenSchedule } from "../steering/index.js";
import { formatOf, type VectorData } from "../vector/index.js";
import { promptsUnder, type Descriptions } from "./descriptions.js";

interface GainOptions extends Pick<FormatOptions, "templateVariables"> {
  /** Questions that the vector was not made from. */
  questions: readonly string[];
  maxNewTokens: number;
  signal?: AbortSignal;
}

/** What a vector does to answers, in nats per token, beside unsteered ones: means over the questions, NaN if none has an answer. */
export interface Gain {
  /** By how much likelier they are towards the description than away from it. */
  gain: number;
  /** By how much less likely they are towards the description: what fluency is lost. Negative where they gain. */
  loss: number;
  /** Share of distinct tokens in a steered answer, divided by that in the unsteered one: near 0 for an answer that repeats one word. */
  variety: number;
  /** Answers that are empty, or break the model down, although unsteered ones do not. */
  nLost: number;
}
export type MeasureGain = (vector: VectorData, schedule: WrittenSchedule) => Promise<Gain>;

interface Judged {
  /** Mean log probability per token under both descriptions. */
  towards: number;
  away: number;
  /** Share of distinct tokens. */
  distinct: number;
}
const UNKNOWN: Judged = { towards: NaN, away: NaN, distinct: NaN };

/**
 * Prepares to measure whether a vector has the effect that its descriptions name. The model itself judges, by how likely an answer is
 * under the descriptions: its log odds are its log probability under the first one minus that under the second one.
 */
export function gainMeasure(model: Engine, descriptions: Descriptions, { questions, maxNewTokens, ...options }: GainOptions): MeasureGain {
  const { templateVariables, signal } = options;
  let unsteered: Array<Promise<Judged>> | undefined;
  const judged = async (index: number, format: FormatOptions["format"], steer: readonly Steering[]): Promise<Judged> => {
    const question = questions[index]!;
    const how = { ...(format && { format }), ...(templateVariables && { templateVariables }) };
    const asked = await promptTokens(model, question, how);
    const { tokens } = await generateText(model, asked, { steer, maxNewTokens, ...(signal && { signal }) });
    const answer = tokens.map(({ token }) => token).filter((token) => !model.isEndOfGeneration(token));
    if (answer.length === 0) return UNKNOWN;
    const prompts = await promptsUnder(model, descriptions, index, question, how);
    const [towards, away] = await Promise.all([prompts.positive, prompts.negative].map(async (prompt) => {
      const scores = await scoreTokens(model, prompt, answer, { ...(signal && { signal }) });
      return scores.reduce((sum, score) => sum + score, 0) / scores.length;
    }));
    return { towards: towards!, away: away!, distinct: new Set(answer).size / answer.length };
  };
  return async (vector, schedule) => {
    const format = formatOf(vector.provenance);
    const steer: Steering = { vector, schedule, phases: ["thinking", "answer"] };
    unsteered ??= questions.map((_, index) => judged(index, format, []).catch(unknown));
    const before = await Promise.all(unsteered); // alone: what breaks the model down may reach the cells of others
    const after = await Promise.all(questions.map((_, index) => judged(index, format, [steer]).catch(unknown)));
    const compared = (figure: (after: Judged, before: Judged) => number): number =>
      mean(after.map((each, index) => figure(each, before[index]!)));
    return {
      gain: compared((own, plain) => (own.towards - own.away) - (plain.towards - plain.away)),
      loss: compared((own, plain) => plain.towards - own.towards),
      variety: compared((own, plain) => own.distinct / plain.distinct),
      nLost: after.filter(({ towards }, index) => Number.isNaN(towards) && !Number.isNaN(before[index]!.towards)).length,
    };
  };
}

/** An answer that breaks the model down, or has no room after its description, is like an empty one. */
function unknown(error: unknown): Judged {
  if (["E_NOT_FINITE", "E_CONTEXT_FULL"].includes((error as SteeringError).code)) return UNKNOWN;
  throw error;
}

/** Leaves out what is unknown. */
function mean(values: readonly number[]): number {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}
