import { runFile, type ResultRecord, type RunFile, type RunSetting } from "../../lib/results/index.js";

export const SETTINGS: RunSetting[] = [
  { label: "icl", prompt: "icl", steer: [] },
  { label: "no-icl", prompt: "no-icl", steer: [] },
  { label: "Dyn p=0.5", prompt: "no-icl", steer: [{ vector: 0, schedule: { kind: "dynamic", topP: 0.5, alphaMax: 2, strongAlpha: 2, klReduction: "mean" } }] },
  { label: "Fixed 1", prompt: "no-icl", steer: [{ vector: 0, schedule: { kind: "fixed", alpha: 1 } }] },
  { label: "Start -1.5", prompt: "no-icl", steer: [{ vector: 0, schedule: { kind: "start", alpha: -1.5 } }] },
];

export function aRun(changes: Partial<RunFile> = {}): RunFile {
  return runFile({
    kind: "single", config: { alphas: [1], positive: "ITA" }, model: { name: "m", fingerprint: { fileHash: "sha256:1", nLayer: 2 } },
    datasets: { positive: { name: "ITA_train", hash: "sha256:2" } }, vectors: [{ property: "ITA", file: "ITA-ENG.safetensors", hash: null }],
    settings: SETTINGS, nPrompts: 7, parallel: 2, shard: null,
    versions: { llamaSteer: "1", llamaCpp: "2" }, machine: { platform: "linux-x64", cpu: "c", threads: 2, gpuLayers: "all", node: "v20" }, ...changes,
  });
}

/** What a run might have found for a prompt. */
export function someRecords(run: RunFile, prompt: number): ResultRecord[] {
  return run.settings.map(({ label, prompt: kind, steer }, index) => ({
    prompt, setting: label, question: `question ${prompt}?`, gold: "gold, « però »", text: `text ${index} 好\n`, tokens: [1, prompt, index], finishReason: "length",
    alphas: steer.map(({ vector }) => [0.5 + vector, prompt / 10]), kls: steer.map(({ schedule, vector }) => (schedule.kind === "dynamic" ? [0.25 + vector, 1 / 3] : null)),
    perplexity: kind === "icl" ? 1.25 + prompt : null, deltaPerplexity: kind === "no-icl" ? index + prompt / 3 : null,
  }));
}
