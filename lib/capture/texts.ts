import { requireInteger } from "../checks.js";
import { SteeringError } from "../errors.js";
import type { Model, PromptReading, RowCapture } from "../engine/index.js";
import type { CaptureHandle } from "../native/index.js";
import type { HookSite, PairsOrigin } from "../vector/index.js";
import { inOrder, runToEnd, type AwaitedTask } from "./capture.js";

/** Which rows of a text are read: the mean over its answer's, the answer's last, or per token step the row that predicts the answer's token. */
export type Pooling = PairsOrigin["pooling"];

/** A text and what it answers, as tokens. The answer may not be empty, and the prompt not with `step`. */
export interface PromptedText {
  /** BOS included. */
  prompt: readonly number[];
  answer: readonly number[];
}

/** What is captured of given texts. */
export interface TextCaptureOptions {
  site: HookSite;
  /** 0-based, ascending; default: all in which every row can be read (`readableLayers`). */
  layers?: readonly number[];
  /** Default `mean`. */
  pooling?: Pooling;
  /** Most token steps, with `step` only; default: as many as the answer has tokens. */
  maxSteps?: number;
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
  /** Rows that each mean is over: the answer's tokens with `mean`, else 1. */
  nRows: number;
  /** Token steps with `step`, else 1. */
  nSteps: number;
  /** `[layers, nSteps, width]` */
  means: Float64Array;
}

/** What is fed of a text, and which of its rows are read. */
interface TextRows {
  tokens: readonly number[];
  /** First row that is read; all behind it are. */
  from: number;
  nSteps: number;
  /** Rows per step. */
  nRows: number;
}

/** Texts that are waited for at once: more than a context has sequences, so that none of those is idle. */
const N_PARALLEL = 32;
/** Rows whose activations wait in memory, in all layers, for the end of one decode. */
const MIXED_ROWS = 256;
/** Layers in which a site shows every row of a batch: after the last layer's attention llama.cpp keeps the rows with logits only. Throws E_NO_SITE. */
export function readableLayers(model: Pick<Model, "siteLayers" | "siteWidth">, site: HookSite): number[] {
  model.siteWidth(site); // E_NO_SITE
  return model.siteLayers(site, { everyRow: true });
}

/**
 * Activations of texts that are given, unsteered, text by text in order: the mean over the rows in which the answer's tokens
 * are the input, the last of those rows, or one row per token step (`pooling`). Nothing is generated, all layers are read
 * in one pass, many texts share a batch, and a prompt that texts side by side have in common is computed once.
 *
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_TOKEN, E_CONTEXT_FULL, E_NO_SITE, E_SHAPE (the last layer, behind its attention), E_NOT_FINITE, E_ABORTED
 */
export async function* captureTexts(model: Model, texts: readonly PromptedText[], options: TextCaptureOptions): AsyncGenerator<TextMeans, void> {
  const layers = checkedLayers(model, options);
  const rows = texts.map((text) => textRows(text, options));
  for (const { tokens } of rows) checkTokens(model, tokens);
  const capture = (text: TextRows, signal: AbortSignal): Promise<Float64Array> =>
    runToEnd(model, new TextTask(model, text, model.createCapture(options.site, layers, text.nSteps)), signal);
  const total = rows.reduce((sum, { tokens }) => sum + tokens.length, 0);
  let [text, done] = [0, 0];
  for await (const means of inOrder(rows, capture, options.signal, N_PARALLEL)) {
    const { tokens, nRows, nSteps } = rows[text]!;
    done += tokens.length;
    options.onProgress?.(done, total);
    yield { text: text++, layers, width: means.length / (layers.length * nSteps), nRows, nSteps, means };
  }
}

/** A prompt and an answer that are fed, some of their rows captured. */
class TextTask implements AwaitedTask<Float64Array> {
  readonly prompt: readonly number[];
  readonly nSequences = 1;
  readonly maxNewTokens = 0;
  readonly mixedRows = MIXED_ROWS;
  readonly reading: PromptReading;
  readonly ended: Promise<Float64Array>;
  private settle!: { resolve: (means: Float64Array) => void; reject: (error: unknown) => void };

  constructor(model: Model, { tokens, from, nSteps, nRows }: TextRows, into: CaptureHandle) {
    this.ended = new Promise((resolve, reject) => { this.settle = { resolve, reject }; });
    this.prompt = tokens;
    const rows = Array.from({ length: nSteps }, (_, step): RowCapture => ({ into, step, weight: 1 }));
    this.reading = {
      from,
      capture: (position) => rows[nSteps === 1 ? 0 : position - from]!,
      done: () => {
        const { sums, weights } = model.takeCapture(into);
        if (!weights.every((weight) => weight === nRows)) throw new Error(`${weights.join(", ")} rows were captured of ${nRows}`);
        const means = sums.map((sum) => sum / nRows);
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
  const cut = model.siteLayers(site).find((layer) => layers?.includes(layer) && !readable.includes(layer));
  if (cut !== undefined) {
    throw new SteeringError("E_SHAPE", `${site} of the last layer (${cut}) has no rows for the tokens of a text: llama.cpp computes there only what is needed for logits. Choose an earlier layer.`);
  }
  if (layers && layers.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "no layer was chosen");
  return layers ?? readable;
}

function textRows({ prompt, answer }: PromptedText, { pooling = "mean", maxSteps }: TextCaptureOptions): TextRows {
  if (answer.length === 0 || (prompt.length === 0 && pooling === "step")) throw new SteeringError("E_BAD_ARGUMENT", "a text to capture, or its prompt, has no tokens");
  if (maxSteps !== undefined && pooling !== "step") throw new SteeringError("E_BAD_ARGUMENT", 'maxSteps belongs to pooling "step"');
  if (maxSteps !== undefined) requireInteger("maxSteps", maxSteps, { min: 1 });
  const whole = [...prompt, ...answer];
  if (pooling === "mean") return { tokens: whole, from: prompt.length, nSteps: 1, nRows: answer.length };
  if (pooling === "last") return { tokens: whole, from: whole.length - 1, nSteps: 1, nRows: 1 };
  const nSteps = Math.min(answer.length, maxSteps ?? answer.length);
  return { tokens: whole.slice(0, prompt.length - 1 + nSteps), from: prompt.length - 1, nSteps, nRows: 1 }; // no step is behind the last token
}

function checkTokens(model: Model, tokens: readonly number[]): void {
  model.detokenise(tokens); // E_BAD_TOKEN here, before a batch would throw it that others share
  if (tokens.length > model.maxContext) throw new SteeringError("E_CONTEXT_FULL", `a text and its prompt take ${tokens.length} tokens; the model's context holds ${model.maxContext}`);
}
