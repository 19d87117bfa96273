import { requireInteger } from "../checks.js";
import { SteeringError } from "../errors.js";
import { inOrder } from "../capture/index.js";
import type { Engine } from "../engine/index.js";
import { generateText, type Steering } from "../generate/index.js";
import { median, quantile } from "../maths/index.js";
import { promptTokens, QUESTION_STOP, resolveFormat, type FormatOptions } from "../prompt/index.js";
import { formatOf, type VectorData } from "../vector/index.js";

/** Options of `measureKl`. */
export interface MeasureKlOptions extends FormatOptions {
  /** Strengths to measure, all over the same answers; negative ones are allowed. */
  alphas: readonly number[];
  /** Questions to answer, at best some that the vector was not made from. */
  questions: readonly string[];
  /** Tokens of each unsteered answer; default 20. */
  maxNewTokens?: number;
  /** Which parts of the vector to add; default: all. */
  selection?: Pick<Steering, "layers" | "heads" | "tail">;
  signal?: AbortSignal | undefined;
  /** Reports the answers so far and the total. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** How far a vector moves the next-token distribution, in nats per token. */
export interface KlPoint {
  alpha: number;
  mean: number;
  median: number;
  /** The 95th percentile. */
  p95: number;
}

/** Alphas measured in one generation, each in a sequence of its own. */
const ALPHAS_AT_ONCE = 8;
/** The format in which a vector's questions are put; `auto` if the file does not say. */
export function formatFor({ provenance }: VectorData, { format, system, templateVariables }: FormatOptions): FormatOptions {
  const lead = system ?? provenance.system;
  const variables = templateVariables ?? provenance.templateVariables;
  return {
    format: format ?? formatOf(provenance) ?? "auto",
    ...(lead !== undefined && { system: lead }), ...(variables && { templateVariables: variables }),
  };
}

/**
 * Measures KL(unsteered ‖ steered) per token as a function of alpha (docs/method.md §8). The unsteered model answers each question
 * greedily; at every token of its answer, its thoughts and the end mark included, the steered distribution is compared with the unsteered
 * one over the whole vocabulary. Infinite where the steered logits are not finite. The questions take the vector's own format by default.
 *
 * @returns one point per alpha, in their order
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_GGUF (no chat template), E_CONTEXT_FULL, E_MODEL_MISMATCH, E_NO_SITE, E_SHAPE, E_ABORTED
 */
export async function measureKl(model: Engine, vector: VectorData, options: MeasureKlOptions): Promise<KlPoint[]> {
  const { alphas, questions, maxNewTokens = 20, selection = {}, signal, onProgress } = options;
  requireInteger("maxNewTokens", maxNewTokens, { min: 1 });
  if (alphas.length === 0 || questions.length === 0) {
    throw new SteeringError("E_BAD_ARGUMENT", "measuring the KL needs at least one alpha and one question");
  }
  const format = formatFor(vector, options);
  const stop = resolveFormat(model, format.format) === "qa" ? [QUESTION_STOP] : [];
  const groups = inGroups(alphas, ALPHAS_AT_ONCE);
  const jobs = questions.flatMap((question) => groups.map((group) => ({ question, group })));
  const found = new Map<number, number[]>(alphas.map((alpha) => [alpha, []]));
  const measure = async ({ question, group }: { question: string; group: readonly number[] }, inner: AbortSignal): Promise<void> => {
    const prompt = await promptTokens(model, question, format);
    const kls = await klsOf(model, prompt, { vector, ...selection }, group, { maxNewTokens, stop, signal: inner });
    group.forEach((alpha, index) => found.get(alpha)!.push(...kls[index]!));
  };
  let done = 0;
  for await (const _ of inOrder(jobs, measure, signal)) onProgress?.(++done, jobs.length);
  return alphas.map((alpha) => {
    const kls = found.get(alpha)!;
    return { alpha, mean: kls.reduce((a, b) => a + b, 0) / kls.length, median: median(kls).value, p95: quantile(kls, 0.95) };
  });
}

/** KLs per alpha and token of one answer: one generation, in which each alpha has a stream of its own and none steers the output. */
async function klsOf(
  model: Engine, prompt: readonly number[], steering: Omit<Steering, "schedule">, alphas: readonly number[],
  generation: { maxNewTokens: number; stop: readonly string[]; signal: AbortSignal },
): Promise<number[][]> {
  const steer = alphas.map((alpha): Steering => ({
    ...steering, phases: ["thinking", "answer"],
    schedule: { kind: "dynamic", topP: 1, klReduction: "sum", strongAlpha: alpha, alphaMax: 0 },
  }));
  try {
    const { tokens, endReadings } = await generateText(model, prompt, { ...generation, steer });
    const steps = tokens.map(({ readings }) => readings);
    if (endReadings && steps.at(-1) !== endReadings) steps.push(endReadings);
    return alphas.map((_, index) => steps.map((readings) => readings[index]!.kl!));
  } catch (error) {
    if ((error as SteeringError).code !== "E_NOT_FINITE") throw error;
    if (alphas.length === 1) return [[Infinity]];
    const alone: number[][] = []; // one alpha breaks the model down; it must not hide what the others do
    for (const alpha of alphas) alone.push(...await klsOf(model, prompt, steering, [alpha], generation));
    return alone;
  }
}

function inGroups<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) => items.slice(index * size, (index + 1) * size));
}
