import { requireInteger } from "../checks.js";
import { SteeringError } from "../errors.js";
import type { Batch, Engine, Place, Sample, StepTask, Taken, TakeResult } from "../engine/index.js";
import type { CaptureHandle } from "../native/index.js";
import type { HookSite, StepMeans } from "../vector/index.js";

/** A prompt and its weight in a mean. */
export interface CapturePrompt {
  tokens: readonly number[];
  /** Above 0, e.g. how often a draw with replacement picked this prompt. */
  weight: number;
}

/** What to capture, and for how many token steps. */
export interface CaptureOptions {
  site: HookSite;
  /** 0-based, ascending; default: all layers that have the site. */
  layers?: readonly number[];
  /** Maximum number of tokens generated per prompt. */
  maxNewTokens: number;
  signal?: AbortSignal;
  /** Called after every prompt with the tokens computed so far and an upper bound of their total. */
  onProgress?: (done: number, total: number) => void;
}

/** Activations of one prompt while the model continued it. */
export interface PromptActivations {
  /** Index of the prompt. */
  prompt: number;
  layers: readonly number[];
  nSteps: number;
  width: number;
  /** `[layers, nSteps, width]` */
  data: Float32Array;
}

/** Prompts run at once: more of them share each read of the weights, fewer leave each a larger share of the attention's cache. */
const N_PARALLEL = 4;
/** Large batches are fine: no consumer waits for single tokens, and nothing steers. */
const MIXED_ROWS = 256;

/**
 * Captures mean activations per layer and token step while the model continues each prompt greedily (docs/method.md §3). Step i is
 * the row that predicts token i, averaged over the prompts that reach that step.
 *
 * @returns means `[layers, nSteps, width]` in double precision; nSteps is the length of the longest continuation
 * @throws SteeringError E_CONTEXT_FULL, E_NO_SITE, E_SHAPE, E_ABORTED
 */
export async function captureMeans(model: Engine, prompts: readonly CapturePrompt[], options: CaptureOptions): Promise<StepMeans> {
  const layers = checkedLayers(model, prompts.map(({ tokens }) => tokens), options);
  const isWeight = (weight: number): boolean => weight > 0 && Number.isFinite(weight);
  if (!prompts.every(({ weight }) => isWeight(weight))) {
    throw new SteeringError("E_BAD_ARGUMENT", "a prompt's weight must be a finite number above 0");
  }
  const into = model.createCapture(options.site, layers, options.maxNewTokens);
  const capture = ({ tokens, weight }: CapturePrompt, signal: AbortSignal): Promise<void> =>
    model.scheduler.run(new CaptureTask(tokens, weight, into, options.maxNewTokens), signal);
  let done = 0;
  const total = prompts.reduce((sum, { tokens }) => sum + tokens.length + options.maxNewTokens, 0);
  let index = 0;
  for await (const _ of inOrder(prompts, capture, options.signal)) {
    done += prompts[index++]!.tokens.length + options.maxNewTokens;
    options.onProgress?.(done, total);
  }
  const { nSteps, means } = meansOf(model.takeCapture(into), layers.length, options.maxNewTokens);
  return { nLayer: layers.length, nSteps, width: means.length / (layers.length * nSteps), means };
}

/**
 * Captures the activations of each prompt, in order. Only the running prompts' activations are in memory, so a consumer that writes
 * them to disk (`saveActivations`) can capture any number of prompts.
 *
 * @throws SteeringError E_CONTEXT_FULL, E_BAD_TOKEN, E_NO_SITE, E_SHAPE, E_ABORTED
 */
export async function* captureActivations(
  model: Engine, prompts: readonly (readonly number[])[], options: CaptureOptions,
): AsyncGenerator<PromptActivations, void> {
  const layers = checkedLayers(model, prompts, options);
  const capture = async (tokens: readonly number[], signal: AbortSignal): Promise<{ nSteps: number; means: Float64Array }> => {
    const into = model.createCapture(options.site, layers, options.maxNewTokens);
    await model.scheduler.run(new CaptureTask(tokens, 1, into, options.maxNewTokens), signal);
    // Each mean is over one row, so it is exactly the activation.
    return meansOf(model.takeCapture(into), layers.length, options.maxNewTokens);
  };
  let prompt = 0;
  for await (const { nSteps, means } of inOrder(prompts, capture, options.signal)) {
    yield { prompt: prompt++, layers, nSteps, width: means.length / (layers.length * nSteps), data: Float32Array.from(means) };
  }
}

/** Yields the items' results in order, running `nParallel` at once; aborts the rest when the consumer stops. */
export async function* inOrder<Item, Result>(
  items: readonly Item[],
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
  outer: AbortSignal | undefined,
  nParallel = N_PARALLEL,
): AsyncGenerator<Result, void> {
  const leave = new AbortController();
  const signal = outer ? AbortSignal.any([outer, leave.signal]) : leave.signal;
  const underWay: Array<Promise<Result>> = [];
  try {
    for (let next = 0; next < items.length || underWay.length > 0;) {
      while (next < items.length && underWay.length < nParallel) {
        const result = work(items[next++]!, signal);
        result.catch(() => undefined); // the first failure is thrown below; later ones would be unhandled
        underWay.push(result);
      }
      yield await underWay.shift()!;
    }
  } finally {
    leave.abort();
  }
}

/** Continues a prompt greedily and captures each step's row. */
class CaptureTask implements StepTask {
  readonly kind = "steps";
  readonly nSequences = 1;
  readonly mixedRows = MIXED_ROWS;
  private steps = 0;

  constructor(
    readonly prompt: readonly number[], private readonly weight: number, private readonly into: CaptureHandle,
    readonly maxNewTokens: number,
  ) {}

  step(batch: Batch, { token, position, step, sequences }: Place): TakeResult {
    const capture = { into: this.into, step, weight: this.weight };
    const sample = batch.sample(batch.add(token, position, sequences[0]!, { output: true, capture }));
    return ({ samples }) => this.accept(samples[sample]!);
  }

  private accept({ token, isEnd }: Sample): Taken {
    if (token < 0) throw new SteeringError("E_NOT_FINITE", "the model's logits are not finite: its weights are broken");
    return { token, hasEnded: ++this.steps === this.maxNewTokens || isEnd };
  }
}

function checkedLayers(
  model: Engine, prompts: readonly (readonly number[])[], { site, layers, maxNewTokens }: CaptureOptions,
): readonly number[] {
  requireInteger("maxNewTokens", maxNewTokens, { min: 1 });
  if (prompts.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "capture needs at least one prompt");
  if (prompts.some((tokens) => tokens.length === 0)) throw new SteeringError("E_BAD_ARGUMENT", "a prompt to capture is empty");
  for (const tokens of prompts) model.checkTokens(tokens); // throws E_BAD_TOKEN here rather than in a batch shared with others
  const longest = prompts.reduce((most, tokens) => Math.max(most, tokens.length), 0) + maxNewTokens;
  if (longest > model.maxContext) {
    throw new SteeringError("E_CONTEXT_FULL",
      `the longest prompt and its answer take ${longest} tokens, but the model's context holds ${model.maxContext}. Shorten the prompt, or `
      + "lower maxNewTokens");
  }
  return layers ?? model.siteLayers(site);
}

/** Sums divided by weights, `[layers, nSteps, width]`, up to the last step that any prompt reached. */
function meansOf(
  { sums, weights }: { sums: Float64Array; weights: Float64Array }, nLayers: number, asked: number,
): { nSteps: number; means: Float64Array } {
  const firstUnreached = weights.indexOf(0);
  const nSteps = firstUnreached === -1 ? asked : firstUnreached;
  const width = sums.length / (nLayers * asked);
  const means = new Float64Array(nLayers * nSteps * width);
  for (let layer = 0; layer < nLayers; layer++) {
    for (let step = 0; step < nSteps; step++) {
      const from = (layer * asked + step) * width;
      const to = (layer * nSteps + step) * width;
      for (let i = 0; i < width; i++) means[to + i] = sums[from + i]! / weights[step]!;
    }
  }
  return { nSteps, means };
}
