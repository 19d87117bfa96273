import { detectLanguage, languageOfDataset, summariseRun, type Estimate, type RunResults } from "../lib/index.js";
import { print } from "./common.js";

/** What a run's table shows, for `--json`. */
export function runSummary(results: RunResults): object {
  const language = wantedLanguage(results);
  const { run, timings, isComplete } = results;
  return {
    kind: run.kind, model: run.model.name, quantisation: run.model.fingerprint["quantisation"], vectors: run.vectors.map(({ property }) => property),
    isComplete, language, seconds: timings.reduce((sum, { seconds }) => sum + seconds, 0), settings: summariseRun(results, hits(language)),
  };
}

/** The table of a run: per setting how many answers are in the wanted language, and the median ΔPPL. */
export function printRunTable(results: RunResults): void {
  const language = wantedLanguage(results);
  const { run, timings } = results;
  const rows = summariseRun(results, hits(language)).map(({ setting, answers, failed, deltaPerplexity, hits: share }) => [
    setting, String(answers), share ? estimate(share, (value) => `${Math.round(100 * value)} %`) : "", deltaPerplexity ? estimate(deltaPerplexity, (value) => value.toFixed(2)) : "",
    failed > 0 ? `${failed} failed` : "",
  ]);
  const seconds = timings.filter(({ what }) => what.startsWith("prompts")).reduce((sum, each) => sum + each.seconds, 0);
  const answered = new Set(results.records.map(({ prompt }) => prompt)).size;
  print(`\n${run.vectors.map(({ property }) => property).join(" + ")}, ${run.model.name} (${String(run.model.fingerprint["quantisation"] ?? "?")}): ${answered} of ${run.nPrompts} prompts`
    + `${seconds > 0 ? `, ${(answered / seconds).toFixed(2)} prompts/s` : ""}${run.shard ? `, shard ${run.shard.index}/${run.shard.count}` : ""}`);
  printColumns([["setting", "answers", language ? `${language} [95 %]` : "", "median ΔPPL [95 %]", ""], ...rows]);
}

/** Lines of text in aligned columns; columns that are empty throughout are left out. */
export function printColumns(rows: readonly (readonly string[])[]): void {
  const shown = rows[0]!.map((_, column) => column).filter((column) => rows.some((row, index) => index > 0 && row[column] !== ""));
  const widths = shown.map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) print(shown.map((column, i) => row[column]!.padEnd(widths[i]!)).join("  ").trimEnd());
}

/** The language that steering aims at, where the datasets' names say so. */
function wantedLanguage({ run }: RunResults): string | undefined {
  const aimed = run.kind === "single" ? run.datasets["positive"]?.name ?? run.vectors[0]!.property : run.datasets["composed"]?.name;
  return aimed === undefined ? undefined : languageOfDataset(aimed);
}

function hits(language: string | undefined): Parameters<typeof summariseRun>[1] {
  return language === undefined ? undefined : ({ text }) => detectLanguage(text).language === language;
}

function estimate({ value, low, high }: Estimate, format: (value: number) => string): string {
  return `${format(value)} [${format(low)}, ${format(high)}]`;
}
