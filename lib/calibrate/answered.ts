import { inOrder } from "../capture/index.js";
import type { Engine } from "../engine/index.js";
import { type Evaluator, answerPrompt } from "../evaluate/index.js";
import { perplexity } from "../generate/index.js";
import { quantile } from "../maths/index.js";
import type { EvaluationPrompt } from "../prompt/index.js";
import { judgedText, type ResultRecord, type RunSetting } from "../results/index.js";
import type { VectorData } from "../vector/index.js";
import type { CostMeasure } from "./prompts.js";

/** A way to answer the questions: a prompt, and what steers. */
export type Asked = Pick<RunSetting, "prompt" | "steer">;

/** How the answers to the questions turned out. */
export interface Outcome {
  /** Share of the answers with the effect. */
  found: number;
  /** Median cost over the questions that have one (ΔPPL, or as `cost` says); infinite if the model broke down on half of them. */
  deltaPerplexity: number;
}

interface Answering {
  vector: VectorData;
  prompts: readonly EvaluationPrompt[];
  judges: readonly Evaluator[];
  cost: CostMeasure;
  maxNewTokens: number;
  signal: AbortSignal | undefined;
  onAnswer: () => void;
}

/** Answers all prompts in each of these ways, and judges the answers. */
export async function answered(model: Engine, asked: readonly Asked[], options: Answering): Promise<Outcome[]> {
  const { vector, prompts, judges, cost, maxNewTokens, signal, onAnswer } = options;
  const settings = asked.map((each, index): RunSetting => ({ ...each, label: String(index) }));
  const records: ResultRecord[] = [];
  const answer = async (index: number, inner: AbortSignal): Promise<ResultRecord[]> => {
    const own = await answerPrompt(model, index, prompts[index]!, {
      settings, vectors: [{ vector }], maxNewTokens, signal: inner, onAnswer,
    });
    if (cost === "demonstrations") return own;
    return Promise.all(own.map(async (record) =>
      ({ ...record, deltaPerplexity: await ownPerplexity(model, prompts[index]!.noIcl, record, inner) })));
  };
  for await (const answers of inOrder([...prompts.keys()], answer, signal)) records.push(...answers);
  const hits = await jointHits(judges, records, signal);
  return asked.map((_, index): Outcome => {
    const own = records.flatMap(({ setting }, at) => (setting === String(index) ? [at] : []));
    // No cost and no error: the answer was empty, so there is nothing to compare with.
    const costs = own.map((at) => records[at]!)
      .filter(({ deltaPerplexity, error }) => deltaPerplexity !== null || error !== undefined)
      .map(({ deltaPerplexity }) => deltaPerplexity ?? Infinity);
    const found = own.filter((at) => hits[at]).length / own.length;
    return { found, deltaPerplexity: costs.length === 0 ? Infinity : quantile(costs, 0.5) };
  });
}

/** How unlikely the unsteered model finds an answer; null for an empty one. */
async function ownPerplexity(
  model: Engine, prompt: readonly number[], { tokens }: ResultRecord, signal: AbortSignal,
): Promise<number | null> {
  const written = tokens.filter((token) => !model.isEndOfGeneration(token));
  return written.length === 0 ? null : perplexity(model, prompt, written, { signal });
}

async function jointHits(
  judges: readonly Evaluator[],
  records: readonly ResultRecord[],
  signal: AbortSignal | undefined,
): Promise<boolean[]> {
  const hits = records.map(() => true);
  for (const judge of judges) {
    const columns = await judge.evaluate(records.map((record) => ({ question: record.question, text: judgedText(record) })), signal);
    columns.forEach((column, index) => { hits[index] &&= column["hit"] === true; });
  }
  return hits;
}
