import { evaluationHeader, evaluationRow, runFile, type Evaluation, type ResultRecord, type RunFile, type RunResults, type RunSetting } from "../../lib/results/index.js";
import { aRun } from "./run-fixtures.js";

const dynamic = (topP: number) => ({ kind: "dynamic" as const, topP, alphaMax: 2, strongAlpha: 2, klReduction: "mean" as const });
const fixed = (alpha: number) => ({ kind: "fixed" as const, alpha });
const both = (label: string, schedules: [RunSetting["steer"][number]["schedule"], RunSetting["steer"][number]["schedule"]]): RunSetting => ({ label, prompt: "no-icl", steer: schedules.map((schedule, vector) => ({ vector, schedule })) });

/** A composition of two vectors, 4 prompts. */
export function aComposition(changes: Partial<RunFile> = {}): RunFile {
  const { format: _, formatVersion: _unused, ...fields } = aRun();
  return runFile({
    ...fields, kind: "compose", datasets: { source: { name: "ENi2f_test", hash: "sha256:2" }, composed: { name: "ITi2f_test", hash: "sha256:3" } },
    vectors: [{ property: "ENi2f", file: "a.safetensors", hash: "sha256:4" }, { property: "ITA", file: "b.safetensors", hash: "sha256:5" }],
    settings: [
      { label: "icl", prompt: "icl", steer: [] }, { label: "no-icl", prompt: "no-icl", steer: [] }, { label: "ITA alone", prompt: "no-icl", steer: [{ vector: 1, schedule: fixed(1) }] },
      both("Dyn p=0.5", [dynamic(0.5), dynamic(0.5)]), both("Fixed 1+1.5", [fixed(1), fixed(1.5)]), both("Fixed 2+1", [fixed(2), fixed(1)]),
    ],
    nPrompts: 4, ...changes,
  });
}

/** A record of an answer, with what is not given empty. */
export function aRecord(prompt: number, setting: string, changes: Partial<ResultRecord> = {}): ResultRecord {
  return { prompt, setting, question: `question ${prompt}?`, gold: "gold", text: `answer ${prompt}`, tokens: [1, 2], finishReason: "length", alphas: [], kls: [], perplexity: null, deltaPerplexity: null, ...changes };
}

/** An evaluation whose hits are `hit(record)`. */
export function anEvaluation(run: RunFile, records: readonly ResultRecord[], evaluator: string, wanted: string | null, hit: (record: ResultRecord) => boolean | null): Evaluation {
  const header = evaluationHeader(run, { evaluator, property: evaluator, wanted, config: {}, versions: {} });
  return { header, rows: records.map((record) => evaluationRow(record, { [`eval_${evaluator}`]: "x", ...(wanted !== null && { [`eval_${evaluator}_hit`]: hit(record) }) })) };
}

export function resultsOf(run: RunFile, records: ResultRecord[], evaluations: Evaluation[] = []): RunResults {
  return { run, records, evaluations, timings: [], isComplete: records.length === run.nPrompts * run.settings.length };
}

/** Every prompt of a run in every setting. */
export function allRecords(run: RunFile, of: (prompt: number, setting: RunSetting) => Partial<ResultRecord>): ResultRecord[] {
  return Array.from({ length: run.nPrompts }, (_, prompt) => run.settings.map((setting) => aRecord(prompt, setting.label, of(prompt, setting)))).flat();
}
