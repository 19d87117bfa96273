import { requireInteger } from "../checks.js";
import { SteeringError } from "../errors.js";
import type { Engine, PrefillTask, RowCapture } from "../engine/index.js";
import type { CaptureHandle } from "../native/index.js";
import type { HookSite, PairsOrigin } from "../vector/index.js";
import { inOrder } from "./capture.js";

/** Which rows of a text to capture: the mean of the answer's rows, its last row, or the row that predicts each of its tokens. */
export type Pooling = PairsOrigin["pooling"];

/** A prompt and its answer, as tokens. The answer must not be empty; with `step`, neither must the prompt. */
export interface PromptedText {
  /** BOS included. */
  prompt: readonly number[];
  answer: readonly number[];
}

/** What to capture from given texts. */
export interface TextCaptureOptions {
  site: HookSite;
  /** 0-based, ascending; default: all layers in which every row can be read (`readableLayers`). */
  layers?: readonly number[];
  /** Default `mean`. */
  pooling?: Pooling;
  /** Maximum number of token steps, only with `step`; default: one per token of the answer. */
  maxSteps?: number;
  signal?: AbortSignal;
  /** Called after every text with the tokens computed so far and an upper bound of their total. */
  onProgress?: (done: number, total: number) => void;
}

/** Activations of one text. */
export interface TextMeans {
  /** Index of the text. */
  text: number;
  layers: readonly number[];
  width: number;
  /** Rows in each mean: with `mean`, the answer's tokens; else 1. */
  nRows: number;
  /** Token steps; 1 unless the pooling is `step`. */
  nSteps: number;
  /** `[layers, nSteps, width]` */
  means: Float64Array;
}

/** The tokens to prefill of a text, and the rows to capture. */
interface TextRows {
  tokens: readonly number[];
  /** First captured row; all rows after it are captured too. */
  from: number;
  nSteps: number;
  /** Rows per step. */
  nRows: number;
}

/** Texts run at once: more than a context has sequences, so that no sequence is idle. */
const N_PARALLEL = 32;
/** Limits the activations, of all layers, that stay in memory until a decode ends. */
const MIXED_ROWS = 256;

/**
 * Lists the layers in which a site shows every row of a batch: after the last layer's attention, llama.cpp keeps only the rows with
 * logits. Throws E_NO_SITE.
 */
export function readableLayers(model: Pick<Engine, "siteLayers" | "siteWidth">, site: HookSite): number[] {
  model.siteWidth(site); // E_NO_SITE
  return model.siteLayers(site, { everyRow: true });
}

/**
 * Captures the unsteered activations of given texts, one text at a time in order: the mean over the rows whose input is a token of the
 * answer, the last of those rows, or one row per token step (`pooling`). Nothing is generated; all layers are read in one pass, many
 * texts share a batch, and a prompt that neighbouring texts have in common is computed once.
 *
 * @throws SteeringError E_BAD_ARGUMENT, E_BAD_TOKEN, E_CONTEXT_FULL, E_NO_SITE, E_SHAPE (the last layer, after its attention),
 *   E_NOT_FINITE, E_ABORTED
 */
export async function* captureTexts(
  model: Engine, texts: readonly PromptedText[], options: TextCaptureOptions,
): AsyncGenerator<TextMeans, void> {
  const layers = checkedLayers(model, options);
  const rows = texts.map((text) => textRows(text, options));
  for (const { tokens } of rows) checkTokens(model, tokens);
  const capture = async (text: TextRows, signal: AbortSignal): Promise<Float64Array> => {
    const task = new TextTask(model, text, model.createCapture(options.site, layers, text.nSteps));
    await model.scheduler.run(task, signal);
    return task.means;
  };
  const total = rows.reduce((sum, { tokens }) => sum + tokens.length, 0);
  let [text, done] = [0, 0];
  for await (const means of inOrder(rows, capture, options.signal, N_PARALLEL)) {
    const { tokens, nRows, nSteps } = rows[text]!;
    done += tokens.length;
    options.onProgress?.(done, total);
    yield { text: text++, layers, width: means.length / (layers.length * nSteps), nRows, nSteps, means };
  }
}

/** Prefills a prompt and its answer, and captures some of their rows on the way. */
class TextTask implements PrefillTask {
  readonly kind = "prefill";
  readonly prompt: readonly number[];
  readonly from: number;
  readonly mixedRows = MIXED_ROWS;
  /** `[layers, nSteps, width]`, set by `done`. */
  means!: Float64Array;
  private readonly captures: RowCapture[];

  constructor(private readonly model: Engine, private readonly rows: TextRows, private readonly into: CaptureHandle) {
    this.prompt = rows.tokens;
    this.from = rows.from;
    this.captures = Array.from({ length: rows.nSteps }, (_, step) => ({ into, step, weight: 1 }));
  }

  capture(position: number): RowCapture {
    return this.captures[this.rows.nSteps === 1 ? 0 : position - this.from]!;
  }

  done(): void {
    const { nRows } = this.rows;
    const { sums, weights } = this.model.takeCapture(this.into);
    if (!weights.every((weight) => weight === nRows)) throw new Error(`captured ${weights.join(", ")} rows instead of ${nRows}`);
    this.means = sums.map((sum) => sum / nRows);
    if (this.means.every(Number.isFinite)) return;
    throw new SteeringError("E_NOT_FINITE", "an activation is not finite: the model's weights are broken");
  }
}

function checkedLayers(model: Engine, { site, layers }: TextCaptureOptions): readonly number[] {
  const readable = readableLayers(model, site);
  const cut = model.siteLayers(site).find((layer) => layers?.includes(layer) && !readable.includes(layer));
  if (cut !== undefined) {
    throw new SteeringError("E_SHAPE", `${site} in the last layer (${cut}) has no rows for the tokens of a text: `
      + "llama.cpp computes only the rows with logits there. Choose an earlier layer.");
  }
  if (layers && layers.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "layers is empty: choose at least one layer");
  return layers ?? readable;
}

function textRows({ prompt, answer }: PromptedText, { pooling = "mean", maxSteps }: TextCaptureOptions): TextRows {
  if (answer.length === 0 || (prompt.length === 0 && pooling === "step")) {
    throw new SteeringError("E_BAD_ARGUMENT", "a text to capture, or its prompt, has no tokens");
  }
  if (maxSteps !== undefined && pooling !== "step") throw new SteeringError("E_BAD_ARGUMENT", 'maxSteps requires pooling "step"');
  if (maxSteps !== undefined) requireInteger("maxSteps", maxSteps, { min: 1 });
  const whole = [...prompt, ...answer];
  if (pooling === "mean") return { tokens: whole, from: prompt.length, nSteps: 1, nRows: answer.length };
  if (pooling === "last") return { tokens: whole, from: whole.length - 1, nSteps: 1, nRows: 1 };
  const nSteps = Math.min(answer.length, maxSteps ?? answer.length);
  // The last token predicts nothing, so it is not prefilled.
  return { tokens: whole.slice(0, prompt.length - 1 + nSteps), from: prompt.length - 1, nSteps, nRows: 1 };
}

function checkTokens(model: Engine, tokens: readonly number[]): void {
  model.checkTokens(tokens); // throws E_BAD_TOKEN here rather than in a batch shared with others
  if (tokens.length <= model.maxContext) return;
  throw new SteeringError("E_CONTEXT_FULL",
    `a prompt and its answer take ${tokens.length} tokens, but the model's context holds ${model.maxContext}. Shorten them`);
}
