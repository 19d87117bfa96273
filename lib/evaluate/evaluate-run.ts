import { SteeringError } from "../errors.js";
import type { EvaluationColumns, Evaluator } from "./evaluator.js";
import { languageEvaluator } from "./language-evaluator.js";
import { throwIfAborted } from "../errors.js";
import { columnOf, evaluationHeader, evaluationRow, EvaluationStore, readRun, type ResultRecord, type RunResults } from "../results/index.js";
import { wantedOf } from "./wanted-properties.js";

/** How a run is evaluated. */
export interface EvaluateOptions {
  /** Replace what was found otherwise: by another model, for another wanted value. */
  again?: boolean;
  signal?: AbortSignal;
  /** Answers that were evaluated, of those in the folder; per evaluator, first before it begins. */
  onProgress?: (evaluator: string, done: number, total: number) => void;
}

/**
 * Evaluate a run's answers, or what is left of them: each evaluator writes `eval-<name>.jsonl` beside the results, a line
 * per answer with its columns `eval_…`. May be stopped and gone on with; answers that the run gains later are added.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_RUN, E_BAD_ARGUMENT, E_BUSY, E_WRITE, E_ABORTED and what the evaluators throw
 */
export async function evaluateRun(folder: string, evaluators: readonly Evaluator[], { again = false, signal, onProgress }: EvaluateOptions = {}): Promise<RunResults> {
  checkEvaluators(evaluators);
  for (const evaluator of evaluators) {
    await using store = await EvaluationStore.open(folder, headerFields(evaluator), again);
    const { records } = store;
    onProgress?.(evaluator.name, store.length, records.length);
    while (store.length < records.length) {
      throwIfAborted(signal);
      await store.append(await columnsOf(evaluator, records.slice(store.length, store.length + evaluator.batchSize), signal));
      onProgress?.(evaluator.name, store.length, records.length);
    }
  }
  return readRun(folder);
}

/** Throws E_BAD_ARGUMENT for evaluators that cannot be told apart, or would never come to an end. */
export function checkEvaluators(evaluators: readonly Evaluator[]): void {
  const names = evaluators.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new SteeringError("E_BAD_ARGUMENT", `two evaluators are called "${twice}": evaluate with one after the other, in different folders`);
  const endless = evaluators.find(({ batchSize }) => !(Number.isInteger(batchSize) && batchSize >= 1));
  if (endless) {
    throw new SteeringError("E_BAD_ARGUMENT",
      `the evaluator "${endless.name}" has a batchSize of ${endless.batchSize}; a whole number of at least 1 was expected`);
  }
}

/** The results with the language of the answers judged in passing, where steering leads to one and no file says it yet. */
export async function withLanguage(results: RunResults): Promise<RunResults> {
  const { language } = wantedOf(results.run);
  if (language === undefined || results.evaluations.some(({ header }) => header.evaluator === "language")) return results;
  using evaluator = await languageEvaluator({ wanted: language });
  const columns = await columnsOf(evaluator, results.records);
  const rows = results.records.map((record, index) => evaluationRow(record, columns[index]!));
  return { ...results, evaluations: [...results.evaluations, { header: evaluationHeader(results.run, headerFields(evaluator)), rows }] };
}

function headerFields({ name, property = name, wanted, config, versions }: Evaluator): Parameters<typeof evaluationHeader>[1] {
  return { evaluator: name, property, wanted, config, versions };
}

async function columnsOf(evaluator: Evaluator, records: readonly ResultRecord[], signal?: AbortSignal): Promise<EvaluationColumns[]> {
  const found = await evaluator.evaluate(records.map(({ question, text }) => ({ question, text })), signal);
  if (found.length !== records.length) throw new SteeringError("E_BAD_ARGUMENT", `the evaluator "${evaluator.name}" said something of ${found.length} texts, not of ${records.length}`);
  return found.map((columns) => named(evaluator.name, columns));
}

/** Columns by their whole names. */
export function named(evaluator: string, columns: EvaluationColumns): EvaluationColumns {
  return Object.fromEntries(Object.entries(columns).map(([suffix, value]) => [columnOf(evaluator, suffix || undefined), value]));
}
