import { inOrder } from "../capture/index.js";
import type { SteeringError } from "../errors.js";
import type { Engine } from "../engine/index.js";
import { generateText, type Steering } from "../generate/index.js";
import { promptTokens, QUESTION_STOP, resolveFormat, type FormatOptions } from "../prompt/index.js";
import type { VectorData } from "../vector/index.js";

/** Measured: answers that read well have 0.9 to 1.1, those that repeat one word below 0.4 (docs/measured.md). */
export const LEAST_VARIETY = 0.75;
/** Long enough for an answer to get stuck. */
const TOKENS = 24;
/** A strength that makes answers repeat themselves is divided by √2 at most this many times. */
const STEPS_BACK = 4;

interface VarietyOptions extends FormatOptions {
  questions: readonly string[];
  signal?: AbortSignal | undefined;
}

/**
 * How varied steered answers are beside unsteered ones, at each alpha: the share of distinct tokens in an answer, as a mean over the
 * questions, divided by that of the unsteered model. An empty answer, and one that breaks the model down, counts as 0. Throws E_BAD_GGUF,
 * E_CONTEXT_FULL, E_ABORTED.
 */
export async function measureVariety(
  model: Engine, vector: VectorData, alphas: readonly number[], { questions, signal, ...format }: VarietyOptions,
): Promise<number[]> {
  const stop = resolveFormat(model, format.format) === "qa" ? [QUESTION_STOP] : [];
  const measured = [0, ...alphas];
  const jobs = measured.flatMap((alpha) => questions.map((question) => ({ alpha, question })));
  const distinct = async ({ alpha, question }: (typeof jobs)[number], inner: AbortSignal): Promise<number> => {
    const prompt = await promptTokens(model, question, format);
    const steer: Steering[] = alpha === 0 ? [] : [{ vector, schedule: { kind: "fixed", alpha }, phases: ["thinking", "answer"] }];
    const { tokens } = await generateText(model, prompt, {
      steer, stop, maxNewTokens: Math.min(TOKENS, model.maxContext - prompt.length), signal: inner,
    });
    return tokens.length === 0 ? 0 : new Set(tokens.map(({ token }) => token)).size / tokens.length;
  };
  const shares: number[] = [];
  for await (const share of inOrder(jobs, (job, inner) => distinct(job, inner).catch(brokenDown), signal)) shares.push(share);
  const sums = measured.map((_, index) =>
    shares.slice(index * questions.length, (index + 1) * questions.length).reduce((sum, share) => sum + share, 0));
  return sums.slice(1).map((sum) => (sums[0]! > 0 ? sum / sums[0]! : 1)); // without unsteered answers there is nothing to compare
}

function brokenDown(error: unknown): number {
  if ((error as SteeringError).code === "E_NOT_FINITE") return 0;
  throw error;
}

/**
 * The alpha, or the largest weaker one at which answers do not repeat themselves, and their variety there. The alpha itself if there
 * is none: then repetition is not the strength's fault.
 */
export async function variedAlpha(
  alpha: number, measure: (alphas: readonly number[]) => Promise<number[]>,
): Promise<{ alpha: number; variety: number }> {
  const [first] = await measure([alpha]);
  if (first! >= LEAST_VARIETY) return { alpha, variety: first! };
  const weaker = Array.from({ length: STEPS_BACK }, (_, step) => Number((alpha / Math.SQRT2 ** (step + 1)).toPrecision(2)));
  const varieties = await measure(weaker);
  const found = varieties.findIndex((variety) => variety >= LEAST_VARIETY);
  return found === -1 ? { alpha, variety: first! } : { alpha: weaker[found]!, variety: varieties[found]! };
}
