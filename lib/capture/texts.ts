import { SteeringError } from "../errors.js";
import type { CaptureHandle, Model, PromptReading, RowCapture } from "../runtime/index.js";
import type { HookSite } from "../steering/index.js";
import { inOrder, runToEnd, type AwaitedTask } from "./capture.js";

/** A text and what it answers, as tokens: neither may be empty. */
export interface PromptedText {
  /** BOS included. */
  prompt: readonly number[];
  answer: readonly number[];
}

export interface TextCaptureOptions {
  site: HookSite;
  /** 0-based, ascending; default: all in which every row can be read (`readableLayers`). */
  layers?: readonly number[];
  signal?: AbortSignal;
  /** Called after every text with the tokens computed so far, of an upper bound. */
  onProgress?: (done: number, total: number) => void;
}

/** Activations of one text. */
export interface TextMeans {
  /** Index of the text. */
  text: number;
  layers: readonly number[];
  width: number;
  /** Rows that the means are over: the answer's tokens. */
  nRows: number;
  /** `[layers, width]` */
  means: Float64Array;
}

/** Texts that are waited for at once: more than a context has sequences, so that none of those is idle. */
const N_PARALLEL = 32;
/** Rows whose activations wait in memory, in all layers, for the end of one decode. */
const MIXED_ROWS = 256;
/** Behind the last layer's attention llama.cpp keeps the rows with logits only. */
const CUT_SITES: readonly HookSite[] = ["mlp_out", "resid_mid", "resid_post"];

/** Layers in which a site shows every row of a batch: all, but behind the attention not the last one. */
export function readableLayers({ info }: Pick<Model, "info">, site: HookSite): number[] {
  return Array.from({ length: info.nLayer - (CUT_SITES.includes(site) ? 1 : 0) }, (_, layer) => layer);
}

/**
 * Mean activations of texts that are given, unsteered, text by text in order: over the rows in which the answer's tokens
 * are the input. Nothing is generated, all layers are read in one pass, many texts share a batch, and a prompt that
 * texts side by side have in common is computed once.
 *
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_TOKEN, E_CONTEXT_FULL, E_NO_SITE, E_SHAPE (the last layer, behind its attention), E_NOT_FINITE, E_ABORTED
 */
export async function* captureTexts(model: Model, texts: readonly PromptedText[], options: TextCaptureOptions): AsyncGenerator<TextMeans, void> {
  const layers = checkedLayers(model, options);
  for (const text of texts) checkText(model, text);
  const capture = (text: PromptedText, signal: AbortSignal): Promise<Float64Array> =>
    runToEnd(model, new TextTask(model, text, model.createCapture(options.site, layers, 1)), signal);
  const total = texts.reduce((sum, text) => sum + nTokens(text), 0);
  let [text, done] = [0, 0];
  for await (const means of inOrder(texts, capture, options.signal, N_PARALLEL)) {
    done += nTokens(texts[text]!);
    options.onProgress?.(done, total);
    yield { text, layers, width: means.length / layers.length, nRows: texts[text++]!.answer.length, means };
  }
}

/** A prompt and an answer that are fed, the answer's rows captured. */
class TextTask implements AwaitedTask<Float64Array> {
  readonly prompt: readonly number[];
  readonly nSequences = 1;
  readonly maxNewTokens = 0;
  readonly mixedRows = MIXED_ROWS;
  readonly reading: PromptReading;
  readonly ended: Promise<Float64Array>;
  private settle!: { resolve: (means: Float64Array) => void; reject: (error: unknown) => void };

  constructor(model: Model, { prompt, answer }: PromptedText, into: CaptureHandle) {
    this.ended = new Promise((resolve, reject) => { this.settle = { resolve, reject }; });
    this.prompt = [...prompt, ...answer];
    const row: RowCapture = { into, step: 0, weight: 1 };
    this.reading = {
      from: prompt.length,
      capture: () => row,
      done: () => {
        const { sums, weights } = model.takeCapture(into);
        if (weights[0] !== answer.length) throw new Error(`${weights[0]} rows were captured of ${answer.length}`);
        const means = sums.map((sum) => sum / answer.length);
        if (!means.every(Number.isFinite)) throw new SteeringError("E_NOT_FINITE", "an activation is not finite: the model's weights are broken");
        this.settle.resolve(means);
      },
    };
  }

  isWanted(): boolean {
    return false;
  }

  probe(): void { /* takes no step */ }

  output(): number {
    throw new Error("a text that is read takes no step");
  }

  accept(): boolean {
    return false;
  }

  fail(error: unknown): void {
    this.settle.reject(error);
  }
}

function checkedLayers(model: Model, { site, layers }: TextCaptureOptions): readonly number[] {
  const readable = readableLayers(model, site);
  if (layers?.includes(model.info.nLayer - 1) && !readable.includes(model.info.nLayer - 1)) {
    throw new SteeringError("E_SHAPE", `${site} of the last layer (${model.info.nLayer - 1}) has no rows for the tokens of a text: llama.cpp computes there what is needed for logits only. Choose an earlier layer.`);
  }
  if (layers && layers.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "no layer was chosen");
  return layers ?? readable;
}

function checkText(model: Model, text: PromptedText): void {
  if (text.prompt.length === 0 || text.answer.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "a text to capture, or its prompt, has no tokens");
  model.detokenise([...text.prompt, ...text.answer]); // E_BAD_TOKEN here, before a batch would throw it that others share
  if (nTokens(text) > model.info.nCtxTrain) throw new SteeringError("E_CONTEXT_FULL", `a text and its prompt take ${nTokens(text)} tokens; the model's context holds ${model.info.nCtxTrain}`);
}

function nTokens({ prompt, answer }: PromptedText): number {
  return prompt.length + answer.length;
}
