import { SteeringError } from "../errors.js";
import { Batch, type Context, type Model } from "../runtime/index.js";
import type { HookSite, StepMeans } from "../steering/index.js";

export interface CapturePrompt {
  tokens: readonly number[];
  /** Weight in the mean, e.g. how often a draw with replacement picked this prompt. */
  weight: number;
}

export interface CaptureOptions {
  site: HookSite;
  /** Most tokens generated per prompt. */
  maxNewTokens: number;
  signal?: AbortSignal;
  /** Called after every decode with the tokens computed so far, of an upper bound. */
  onProgress?: (done: number, total: number) => void;
}

/** Prompts generated side by side: more share each read of the weights, fewer share the attention's cache. */
const N_PARALLEL = 4;

interface Stream {
  prompt: CapturePrompt;
  sequence: number;
  /** Tokens of the prompt already in the cache. */
  fed: number;
  /** Token that the next step decodes. */
  next: number;
  done: boolean;
}

/**
 * Mean activations while the model continues each prompt greedily, per layer and token step (REFERENCE §3): at step
 * i, the row that predicts token i, over the prompts that have not ended before.
 *
 * @returns means `[nLayer, nSteps, width]` in double precision; nSteps is the longest continuation
 * @throws SteeringError E_CONTEXT_FULL, E_ABORTED
 */
export async function captureMeans(model: Model, prompts: readonly CapturePrompt[], options: CaptureOptions): Promise<StepMeans> {
  if (prompts.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "capture needs at least one prompt");
  const longest = Math.max(...prompts.map((prompt) => prompt.tokens.length)) + options.maxNewTokens;
  if (longest > model.info.nCtxTrain) {
    throw new SteeringError("E_CONTEXT_FULL", `the longest prompt and its answer take ${longest} tokens; the model's context holds ${model.info.nCtxTrain}`);
  }
  const total = prompts.reduce((sum, prompt) => sum + prompt.tokens.length + options.maxNewTokens, 0);
  let done = 0;
  const advance = (rows: number) => options.onProgress?.(Math.min(total, done += rows), total);

  using lease = await model.leaseContext({ nCtx: longest * N_PARALLEL, nSeqMax: N_PARALLEL }, options.signal);
  const { context } = lease;
  context.beginCapture(options.site, options.maxNewTokens);
  for (let first = 0; first < prompts.length; first += N_PARALLEL) {
    context.kvClear();
    const streams = prompts.slice(first, first + N_PARALLEL).map((prompt, sequence): Stream =>
      ({ prompt, sequence, fed: 0, next: -1, done: false }));
    await feedPrompts(model, context, streams, options, advance);
    await continueGreedily(model, context, streams, options, advance);
  }
  return toMeans(context);
}

/** Feed all prompts in full batches; the last row of each predicts its first token. */
async function feedPrompts(model: Model, context: Context, streams: Stream[], options: CaptureOptions, advance: (rows: number) => void): Promise<void> {
  while (streams.some((stream) => stream.fed < stream.prompt.tokens.length)) {
    const batch = new Batch();
    const outputs: Array<[Stream, number]> = [];
    for (const stream of streams) {
      const { tokens, weight } = stream.prompt;
      for (; stream.fed < tokens.length && batch.size < context.options.nBatch; stream.fed++) {
        const last = stream.fed === tokens.length - 1;
        const row = batch.add(tokens[stream.fed]!, stream.fed, stream.sequence, last ? { output: true, capture: { step: 0, weight } } : {});
        if (last) outputs.push([stream, row]);
      }
    }
    await decodeAndSample(model, context, batch, outputs, options);
    advance(batch.size);
  }
}

async function continueGreedily(model: Model, context: Context, streams: Stream[], options: CaptureOptions, advance: (rows: number) => void): Promise<void> {
  for (let step = 1; step < options.maxNewTokens; step++) {
    const batch = new Batch();
    const outputs: Array<[Stream, number]> = [];
    for (const stream of streams.filter((candidate) => !candidate.done)) {
      const { tokens, weight } = stream.prompt;
      outputs.push([stream, batch.add(stream.next, tokens.length - 1 + step, stream.sequence, { output: true, capture: { step, weight } })]);
    }
    if (batch.size === 0) return;
    await decodeAndSample(model, context, batch, outputs, options);
    advance(batch.size);
  }
}

async function decodeAndSample(model: Model, context: Context, batch: Batch, outputs: Array<[Stream, number]>, options: CaptureOptions): Promise<void> {
  await context.decode(batch, options.signal);
  const tokens = await context.sampleGreedy(outputs.map(([, row]) => row));
  outputs.forEach(([stream], index) => {
    stream.next = tokens[index]!;
    stream.done = model.isEndOfGeneration(stream.next);
  });
}

function toMeans(context: Context): StepMeans {
  const { nLayer, nSteps: asked, width, sums, weights } = context.takeCapture();
  const firstUnreached = weights.indexOf(0);
  const nSteps = firstUnreached === -1 ? asked : firstUnreached;
  const means = new Float64Array(nLayer * nSteps * width);
  for (let layer = 0; layer < nLayer; layer++) {
    for (let step = 0; step < nSteps; step++) {
      const from = (layer * asked + step) * width;
      const to = (layer * nSteps + step) * width;
      for (let i = 0; i < width; i++) means[to + i] = sums[from + i]! / weights[step]!;
    }
  }
  return { nLayer, nSteps, width, means };
}
