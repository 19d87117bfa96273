import {
  columnOf, evaluationHeader, evaluationRow, runFile, type Evaluation, type ResultRecord, type RunFile, type RunResults, type RunSetting,
} from "../../lib/results/index.js";

export const SETTINGS: RunSetting[] = [
  { label: "icl", prompt: "icl", steer: [] },
  { label: "no-icl", prompt: "no-icl", steer: [] },
  {
    label: "Dyn p=0.5", prompt: "no-icl",
    steer: [{ vector: 0, schedule: { kind: "dynamic", topP: 0.5, alphaMax: 2, strongAlpha: 2, klReduction: "mean" } }],
  },
  { label: "Fixed 1", prompt: "no-icl", steer: [{ vector: 0, schedule: { kind: "fixed", alpha: 1 } }] },
  { label: "Start -1.5", prompt: "no-icl", steer: [{ vector: 0, schedule: { kind: "start", alpha: -1.5 } }] },
];

export function aRun(changes: Partial<RunFile> = {}): RunFile {
  return runFile({
    kind: "single", config: { alphas: [1], positive: "ITA" }, model: { name: "m", fingerprint: { fileHash: "sha256:1", nLayer: 2 } },
    datasets: { positive: { name: "ITA_train", hash: "sha256:2" } },
    vectors: [{ property: "ITA", file: "ITA-ENG.safetensors", hash: null }],
    settings: SETTINGS, nPrompts: 7, parallel: 2, shard: null,
    versions: { llamaSteer: "1", llamaCpp: "2" }, machine: { platform: "linux-x64", cpu: "c", threads: 2, gpuLayers: "all", node: "v20" },
    ...changes,
  });
}

/** What a run might have found for a prompt. */
export function someRecords(run: RunFile, prompt: number): ResultRecord[] {
  return run.settings.map(({ label, prompt: kind, steer }, index) => ({
    prompt, setting: label, question: `question ${prompt}?`, gold: "gold, « però »", text: `text ${index} 好\n`, tokens: [1, prompt, index],
    finishReason: "length",
    alphas: steer.map(({ vector }) => [0.5 + vector, prompt / 10]),
    kls: steer.map(({ schedule, vector }) => (schedule.kind === "dynamic" ? [0.25 + vector, 1 / 3] : null)),
    perplexity: kind === "icl" ? 1.25 + prompt : null, deltaPerplexity: kind === "no-icl" ? index + prompt / 3 : null,
  }));
}

const dynamic = (topP: number) => ({ kind: "dynamic" as const, topP, alphaMax: 2, strongAlpha: 2, klReduction: "mean" as const });
const fixed = (alpha: number) => ({ kind: "fixed" as const, alpha });
const both = (label: string, schedules: [RunSetting["steer"][number]["schedule"], RunSetting["steer"][number]["schedule"]]): RunSetting =>
  ({ label, prompt: "no-icl", steer: schedules.map((schedule, vector) => ({ vector, schedule })) });

/** A composition of two vectors, 4 prompts. */
export function aComposition(changes: Partial<RunFile> = {}): RunFile {
  const { format: _, formatVersion: _unused, ...fields } = aRun();
  return runFile({
    ...fields, kind: "compose",
    datasets: { source: { name: "ENi2f_test", hash: "sha256:2" }, composed: { name: "ITi2f_test", hash: "sha256:3" } },
    vectors: [{ property: "ENi2f", file: "a.safetensors", hash: "sha256:4" }, { property: "ITA", file: "b.safetensors", hash: "sha256:5" }],
    settings: [
      { label: "icl", prompt: "icl", steer: [] }, { label: "no-icl", prompt: "no-icl", steer: [] },
      { label: "ITA alone", prompt: "no-icl", steer: [{ vector: 1, schedule: fixed(1) }] },
      both("Dyn p=0.5", [dynamic(0.5), dynamic(0.5)]), both("Fixed 1+1.5", [fixed(1), fixed(1.5)]), both("Fixed 2+1", [fixed(2), fixed(1)]),
    ],
    nPrompts: 4, ...changes,
  });
}

/** A record of an answer, with what is not given empty. */
export function aRecord(prompt: number, setting: string, changes: Partial<ResultRecord> = {}): ResultRecord {
  return {
    prompt, setting, question: `question ${prompt}?`, gold: "gold", text: `answer ${prompt}`, tokens: [1, 2], finishReason: "length",
    alphas: [], kls: [], perplexity: null, deltaPerplexity: null, ...changes,
  };
}

/** An evaluation whose hits are `hit(record)`. */
export function anEvaluation(
  run: RunFile, records: readonly ResultRecord[], evaluator: string, wanted: string | null, hit: (record: ResultRecord) => boolean | null,
): Evaluation {
  const header = evaluationHeader(run, { evaluator, property: evaluator, wanted, config: {}, versions: {} });
  return {
    header,
    rows: records.map(
      (record) => evaluationRow(record, {
        [columnOf(evaluator)]: "x", ...(wanted !== null && { [columnOf(evaluator, "hit")]: hit(record) }),
      }),
    ),
  };
}

export function resultsOf(run: RunFile, records: ResultRecord[], evaluations: Evaluation[] = []): RunResults {
  return { run, records, evaluations, timings: [], isComplete: records.length === run.nPrompts * run.settings.length };
}

/** Every prompt of a run in every setting. */
export function allRecords(run: RunFile, of: (prompt: number, setting: RunSetting) => Partial<ResultRecord>): ResultRecord[] {
  return Array.from(
    { length: run.nPrompts }, (_, prompt) => run.settings.map((setting) => aRecord(prompt, setting.label, of(prompt, setting))),
  ).flat();
}
