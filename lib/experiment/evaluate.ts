import type { Evaluator, EvaluationColumns } from "../evaluate/evaluator.js";
import { languageEvaluator } from "../evaluate/language-evaluator.js";
import { columnOf, evaluationHeader, EvaluationStore, readRun, type EvaluationRow, type ResultRecord, type RunResults } from "../results/index.js";
import { throwIfAborted } from "../runtime/index.js";
import { wantedOf } from "./wanted.js";

export interface EvaluateOptions {
  /** Replace what was found otherwise: by another model, for another wanted value. */
  again?: boolean;
  signal?: AbortSignal;
  /** Answers that were evaluated, of those in the folder; per evaluator. */
  onProgress?: (evaluator: string, done: number, total: number) => void;
}

/**
 * Evaluate a run's answers, or what is left of them: each evaluator writes `eval-<name>.jsonl` beside the results, a line
 * per answer with its columns `eval_…`. May be stopped and gone on with; answers that the run gains later are added.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_RUN, E_BUSY, E_WRITE, E_ABORTED and what the evaluators throw
 */
export async function evaluateRun(folder: string, evaluators: readonly Evaluator[], { again = false, signal, onProgress }: EvaluateOptions = {}): Promise<RunResults> {
  const results = await readRun(folder);
  for (const evaluator of evaluators) {
    const { name, wanted, config, versions } = evaluator;
    await using store = await EvaluationStore.open(folder, results, { evaluator: name, wanted, config, versions }, again);
    while (store.length < results.records.length) {
      throwIfAborted(signal);
      const records = results.records.slice(store.length, store.length + evaluator.batchSize);
      await store.append(await rowsOf(evaluator, records, signal));
      onProgress?.(name, store.length, results.records.length);
    }
  }
  return readRun(folder);
}

/** The results with the language of the answers judged in passing, where steering leads to one and no file says it yet. */
export async function withLanguage(results: RunResults): Promise<RunResults> {
  const { language } = wantedOf(results.run);
  if (language === undefined || results.evaluations.some(({ header }) => header.evaluator === "language")) return results;
  using evaluator = await languageEvaluator({ wanted: language });
  const { name, wanted, config, versions } = evaluator;
  const header = evaluationHeader(results.run, { evaluator: name, wanted, config, versions });
  return { ...results, evaluations: [...results.evaluations, { header, rows: await rowsOf(evaluator, results.records) }] };
}

async function rowsOf(evaluator: Evaluator, records: readonly ResultRecord[], signal?: AbortSignal): Promise<EvaluationRow[]> {
  const found = await evaluator.evaluate(records.map(({ question, text }) => ({ question, text })), signal);
  return records.map(({ prompt, setting }, index) => ({ prompt, setting, ...named(evaluator.name, found[index]!) }));
}

/** Columns by their whole names. */
export function named(evaluator: string, columns: EvaluationColumns): EvaluationColumns {
  return Object.fromEntries(Object.entries(columns).map(([suffix, value]) => [columnOf(evaluator, suffix || undefined), value]));
}
