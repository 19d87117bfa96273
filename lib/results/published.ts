import { basename } from "node:path";
import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";
import { listOf, MAX_STEPS } from "../formats/index.js";
import { KINDS, STRATEGIES, type Strategy, type WrittenSchedule } from "../steering/index.js";
import type { ResultRecord } from "./records.js";
import { MAX_PROMPTS, runFile, type RunFile, type RunSetting } from "./run-file.js";

/** A list that contains NaN (read as null) is unusable and becomes empty. */
const listWithoutNulls = listOf(z.number().nullable(), MAX_STEPS).transform((values) => (values.includes(null) ? [] : values as number[]));
const lists = z.record(z.string(), listWithoutNulls);
const resultSchema = z.looseObject({
  prompt: z.string(),
  gold: z.string(),
  output: z.record(z.string(), z.string()),
  perplexity: z.record(z.string(), z.number().nullable()).default({}),
  additional: lists.default({}),
});
/** One prompt's results as the published code writes them (docs/method.md §6). */
export type PublishedResult = z.infer<typeof resultSchema>;
const publishedSchema = listOf(resultSchema, MAX_PROMPTS, 1);

/** Labels of the settings that the published schema has no keys for. */
export function unpublished(run: RunFile): string[] {
  return run.settings.filter((setting) => outputKey(run, setting) === undefined).map(({ label }) => label);
}

/** The keys that a setting has in the published files. */
interface PublishedKeys {
  output: string;
  /** Key of the ΔPPL; baselines have none. */
  perplexity: string | undefined;
  /** Keys of each vector's alphas and KLs; Dyn only. */
  additional: Array<{ alphas: string; kls: string }>;
}

/**
 * Convert results to the published schema, which the published notebooks read. Throws E_BAD_RUN for a setting that the schema has no
 * key for.
 */
export function toPublished(run: RunFile, records: readonly ResultRecord[]): PublishedResult[] {
  if (run.config["cost"] === "perplexity") {
    throw new SteeringError("E_BAD_RUN", "the published schema has no place for a comparison of methods; export it with --format jsonl");
  }
  const keys = new Map(run.settings.map((setting) => [setting.label, keysOf(run, setting)]));
  const prompts = new Map<number, PublishedResult>();
  for (const record of records) {
    const entry = prompts.get(record.prompt)
      ?? { prompt: `Q:${record.question}\nA:`, gold: record.gold, output: {}, perplexity: {}, additional: {} };
    prompts.set(record.prompt, entry);
    const key = keys.get(record.setting);
    if (!key) continue; // a baseline that the schema lacks
    entry.output[key.output] = record.text;
    const perplexity = record.perplexity ?? record.deltaPerplexity;
    if (perplexity !== null && key.perplexity !== undefined) entry.perplexity[key.perplexity] = perplexity;
    key.additional.forEach(({ alphas, kls }, vector) => {
      entry.additional[alphas] = record.alphas[vector] ?? [];
      entry.additional[kls] = record.kls[vector] ?? [];
    });
  }
  return [...prompts.values()];
}

/** Read a published file as a run: its texts, ΔPPL, alphas and KLs. It contains no tokens. Throws E_BAD_RUN naming the entry. */
export function fromPublished(json: unknown, path: string): { run: RunFile; records: ResultRecord[] } {
  const entries = parsedBy(publishedSchema, json,
    (problem) => new SteeringError("E_BAD_RUN", `${path} is not in the published schema: ${problem}`), "the file");
  const outputs = Object.keys(entries[0]!.output);
  const run = importedRun(outputs, entries.length, path);
  const records = entries.flatMap((entry, prompt) => run.settings.map((setting, index): ResultRecord => {
    const output = outputs[index]!;
    const text = entry.output[output];
    if (text === undefined) {
      throw new SteeringError("E_BAD_RUN", `${path}: entry ${prompt} lacks the output "${output}", which the first entry has`);
    }
    const { perplexity, additional } = keysFor(run, setting, output);
    const value = (perplexity === undefined ? undefined : entry.perplexity[perplexity]) ?? null;
    const isReference = setting.prompt === "icl";
    return {
      prompt, setting: setting.label, question: /^Q:([\s\S]*)\nA:$/.exec(entry.prompt)?.[1] ?? entry.prompt, gold: entry.gold,
      text, tokens: [], finishReason: "unknown",
      alphas: additional.map(({ alphas }) => entry.additional[alphas] ?? []),
      kls: additional.map(({ kls }) => (entry.additional[kls]?.length ? entry.additional[kls] : null)),
      perplexity: isReference ? value : null, deltaPerplexity: isReference ? null : value,
    };
  }));
  return { run, records };
}

/** Reconstruct a run from the keys of a published file. */
function importedRun(outputs: readonly string[], nPrompts: number, path: string): RunFile {
  const kind = outputs.includes("no_icl") ? "single" : "compose";
  const named = (pattern: RegExp): string[] => outputs.flatMap((key) => pattern.exec(key)?.[1] ?? []);
  const properties = kind === "single"
    ? [/_([^_-]+)-[^_-]+\.json$/.exec(basename(path))?.[1] ?? "property"]
    : (named(/^dynamic_p[\d.]+_(.+)$/)[0] ?? named(/^noicl_(.+)$/).join("-")).split("-");
  const [composed = "composed"] = named(/^icl_(.+)$/);
  const reference = (name: string) => ({ name, hash: "unknown" });
  const [source = properties[0]!] = named(/^noicl_(.+)$/); // the unsteered setting comes first
  return runFile({
    kind, config: { importedFrom: path }, model: { name: "unknown", fingerprint: {} },
    datasets: kind === "single" ? {} : { source: reference(source), composed: reference(composed) },
    vectors: properties.map((property) => ({ property, file: "unknown", hash: "unknown" })),
    settings: outputs.map((output) => settingOf(output, { properties, source, path })),
    nPrompts, parallel: 1, shard: null,
    versions: { llamaSteer: "unknown", llamaCpp: "unknown" },
    machine: { platform: "unknown", cpu: "unknown", threads: 0, gpuLayers: 0, node: "unknown" },
  }, "E_BAD_RUN");
}

/** Prefix of the alphas in the published keys; other schedules have none. */
const PREFIX: Record<RunFile["kind"], Partial<Record<Strategy, string>>> = {
  single: { fixed: "edited_", start: "editedSTART_", diminishing: "editedDIM_" },
  compose: { fixed: "", start: "START", diminishing: "DIM" },
};

function keysOf(run: RunFile, setting: RunSetting): PublishedKeys | undefined {
  const output = outputKey(run, setting);
  return output === undefined ? undefined : keysFor(run, setting, output);
}

/** Key of a setting's text; undefined for a baseline that the schema lacks. */
function outputKey({ kind, vectors, datasets }: RunFile, { label, prompt, steer }: RunSetting): string | undefined {
  const names = vectors.map(({ property }) => property);
  const task = (role: string): string => (datasets[role]?.name ?? role).replace(/_(train|test)$/, "");
  if (prompt === "icl-language" || prompt === "prompted") return undefined;
  if (prompt === "icl") return kind === "single" ? "icl" : `icl_${task("composed")}`;
  const first = steer[0];
  if (!first) return kind === "single" ? "no_icl" : `noicl_${task("source")}`;
  if (first.schedule.kind === "dynamic") {
    return `dynamic_p${pythonFloat(first.schedule.topP)}${kind === "single" ? "" : `_${names.join("-")}`}`;
  }
  const prefix = PREFIX[kind][first.schedule.kind as Strategy];
  if (prefix === undefined) throw new SteeringError("E_BAD_RUN", `"${label}" has no key in the published schema`);
  const terms = steer.map(({ vector, schedule }) => ({ name: names[vector], alpha: pythonFloat((schedule as { alpha: number }).alpha) }));
  if (kind === "single") return `${prefix}${terms[0]!.alpha}`;
  // The key with the source's name belongs to the unsteered setting.
  if (steer.length < names.length) return names[first.vector] === task("source") ? undefined : `noicl_${names[first.vector]}`;
  return `${prefix}${terms.map(({ name, alpha }) => `${alpha}_${name}`).join("-")}`;
}

/** Keys of a setting's ΔPPL, alphas and KLs, given the key of its text. */
function keysFor({ kind, vectors }: RunFile, { prompt, steer }: RunSetting, output: string): PublishedKeys {
  if (prompt === "icl") return { output, perplexity: output, additional: [] };
  if (steer.length < vectors.length) return { output, perplexity: undefined, additional: [] };
  const schedule = steer[0]?.schedule;
  const p = schedule?.kind === "dynamic" ? pythonFloat(schedule.topP) : undefined;
  if (kind === "compose") {
    const keys = steer.map((_, i) => ({ alphas: `${p}alpha_t${i + 1}`, kls: `${p}t${i + 1}_real_kls` }));
    return { output, perplexity: output, additional: p === undefined ? [] : keys };
  }
  return {
    output,
    perplexity: `delta_${p === undefined ? output : `dynamic_${p}`}`,
    additional: p === undefined ? [] : [{ alphas: `${p}_dynamic_alphas`, kls: `${p}_dynamic_kls` }],
  };
}

/** The setting that a published key denotes. Throws E_BAD_RUN. */
function settingOf(
  output: string,
  { properties, source, path }: { properties: readonly string[]; source: string; path: string },
): RunSetting {
  const steered = (label: string, schedules: WrittenSchedule[]): RunSetting =>
    ({ label, prompt: "no-icl", steer: schedules.map((schedule, vector) => ({ vector, schedule })) });
  if (output === "icl" || output.startsWith("icl_")) return { label: "icl", prompt: "icl", steer: [] };
  if (output === "no_icl" || output === `noicl_${source}`) return { label: "no-icl", prompt: "no-icl", steer: [] };
  const alone = properties.findIndex((property) => output === `noicl_${property}`);
  if (alone >= 0) {
    return { label: `${properties[alone]} alone`, prompt: "no-icl", steer: [{ vector: alone, schedule: { kind: "fixed", alpha: 1 } }] };
  }
  const dynamic = /^dynamic_p([\d.]+)/.exec(output);
  if (dynamic) {
    const topP = Number(dynamic[1]);
    const schedules = properties.map((): WrittenSchedule => ({ kind: "dynamic", topP, alphaMax: 2, strongAlpha: 2, klReduction: "mean" }));
    return steered(`${KINDS.dynamic.label} p=${topP}`, schedules);
  }
  const [, kindWord = "", rest = ""] = /^(?:edited)?(START|DIM|)_?(-?\d.*)$/.exec(output) ?? [];
  const alphas = properties.length === 1
    ? [Number(rest || NaN)]
    : [...rest.matchAll(/(?:^|-)(-?[\d.]+)_[^-]+/g)].map(([, alpha]) => Number(alpha));
  if (alphas.length !== properties.length || alphas.some(Number.isNaN)) {
    throw new SteeringError("E_BAD_RUN", `${path}: "${output}" is not a key of the published schema`);
  }
  const kind = STRATEGIES.find((strategy) => PREFIX.compose[strategy] === kindWord) as Exclude<Strategy, "dynamic">;
  return steered(`${KINDS[kind].label} ${alphas.join("+")}`, alphas.map((alpha) => ({ kind, alpha })));
}

/** Write a number as Python writes a float: 1 becomes 1.0. */
function pythonFloat(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}
