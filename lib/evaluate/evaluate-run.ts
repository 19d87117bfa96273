import { SteeringError } from "../errors.js";
import type { EvaluatedText, EvaluationColumns, Evaluator } from "./evaluator.js";
import { languageEvaluator } from "./language-evaluator.js";
import { throwIfAborted } from "../errors.js";
import {
  columnOf, evaluationHeader, evaluationRow, EvaluationStore, judgedText, readRun, readRunFile, type ResultRecord, type RunFile,
  type RunResults,
} from "../results/index.js";
import { wantedOf } from "./wanted-properties.js";

/** How a run is evaluated. */
export interface EvaluateOptions {
  /** Replace existing results that came from other settings: another model, another wanted value. */
  again?: boolean;
  signal?: AbortSignal;
  /** Reports how many of the folder's answers each evaluator has judged; first called before it starts. */
  onProgress?: (evaluator: string, done: number, total: number) => void;
}

/**
 * Evaluate the answers of a run. Each evaluator writes `eval-<name>.jsonl` next to the results: one line per answer with its columns
 * `eval_…`. An interrupted evaluation can be resumed; answers that the run gains later are evaluated by the next call.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_RUN, E_BAD_ARGUMENT, E_BUSY, E_WRITE, E_ABORTED and whatever the evaluators throw
 */
export async function evaluateRun(
  folder: string,
  evaluators: readonly Evaluator[],
  { again = false, signal, onProgress }: EvaluateOptions = {},
): Promise<RunResults> {
  checkEvaluators(evaluators);
  const run = await readRunFile(folder);
  for (const { name, against } of evaluators) requireSetting(`the evaluator "${name}"`, against, folder, run);
  for (const evaluator of evaluators) {
    await using store = await EvaluationStore.open(folder, headerFields(evaluator), again);
    const { records } = store;
    const referenceOf = references(evaluator, records);
    onProgress?.(evaluator.name, store.length, records.length);
    while (store.length < records.length) {
      throwIfAborted(signal);
      const next = records.slice(store.length, store.length + evaluator.batchSize);
      await store.append(await columnsOf(evaluator, next, { referenceOf, signal }));
      onProgress?.(evaluator.name, store.length, records.length);
    }
  }
  return readRun(folder);
}

/** Throws E_BAD_ARGUMENT if two evaluators share a name or one has an invalid batch size. */
export function checkEvaluators(evaluators: readonly Evaluator[]): void {
  const names = evaluators.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new SteeringError("E_BAD_ARGUMENT", `two evaluators are called "${twice}"; evaluate with each in its own copy of the folder`);
  }
  const endless = evaluators.find(({ batchSize }) => !(Number.isInteger(batchSize) && batchSize >= 1));
  if (endless) {
    throw new SteeringError("E_BAD_ARGUMENT",
      `the evaluator "${endless.name}" has a batchSize of ${endless.batchSize}; expected a whole number of at least 1`);
  }
}

/** Add an in-memory language evaluation to the results if steering leads to a language and the folder has no such evaluation. */
export async function withLanguage(results: RunResults): Promise<RunResults> {
  const { language } = wantedOf(results.run);
  if (language === undefined || results.evaluations.some(({ header }) => header.evaluator === "language")) return results;
  using evaluator = await languageEvaluator({ wanted: language });
  const columns = await columnsOf(evaluator, results.records);
  const rows = results.records.map((record, index) => evaluationRow(record, columns[index]!));
  const header = evaluationHeader(results.run, headerFields(evaluator));
  return { ...results, evaluations: [...results.evaluations, { header, rows }] };
}

function headerFields({ name, property = name, wanted, config, versions }: Evaluator): Parameters<typeof evaluationHeader>[1] {
  return { evaluator: name, property, wanted, config, versions };
}

interface Judging {
  referenceOf?: (record: ResultRecord) => Pick<EvaluatedText, "reference">;
  signal?: AbortSignal | undefined;
}

async function columnsOf(
  evaluator: Evaluator, records: readonly ResultRecord[], { referenceOf, signal }: Judging = {},
): Promise<EvaluationColumns[]> {
  const texts = records.map((record) => ({ question: record.question, text: judgedText(record), ...referenceOf?.(record) }));
  const found = await evaluator.evaluate(texts, signal);
  if (found.length !== records.length) {
    throw new SteeringError("E_BAD_ARGUMENT",
      `the evaluator "${evaluator.name}" returned ${found.length} results for ${records.length} texts; expected one per text`);
  }
  return found.map((columns) => named(evaluator.name, columns));
}

/** Throws E_BAD_ARGUMENT if the run in a folder lacks the setting that `who` compares answers with. */
export function requireSetting(who: string, against: string | undefined, folder: string, { settings }: Pick<RunFile, "settings">): void {
  if (against === undefined || settings.some(({ label }) => label === against)) return;
  throw new SteeringError("E_BAD_ARGUMENT", `${who} compares with the setting "${against}", which the run in ${folder} lacks; `
    + `expected one of ${settings.map(({ label }) => label).join(", ")}`);
}

/** What an evaluator compares each answer with. */
function references({ against }: Evaluator, records: readonly ResultRecord[]): NonNullable<Judging["referenceOf"]> {
  if (against === undefined) return () => ({});
  const texts = new Map(records.filter(({ setting }) => setting === against).map((record) => [record.prompt, judgedText(record)]));
  return ({ prompt }) => ({ reference: texts.get(prompt) ?? "" });
}

/** Expand the columns' suffixes to full names. */
export function named(evaluator: string, columns: EvaluationColumns): EvaluationColumns {
  return Object.fromEntries(Object.entries(columns).map(([suffix, value]) => [columnOf(evaluator, suffix || undefined), value]));
}
