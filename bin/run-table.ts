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
  print(`\n${title(run)}, ${run.model.name} (${String(run.model.fingerprint["quantisation"] ?? "?")}): ${answered} of ${run.nPrompts} prompts`
    + `${seconds > 0 ? `, ${(answered / seconds).toFixed(2)} prompts/s` : ""}${run.shard ? `, shard ${run.shard.index}/${run.shard.count}` : ""}`);
  printColumns([["setting", "answers", language ? `${language} [95 %]` : "", "median ΔPPL [95 %]", ""], ...rows]);
}

/** Lines of text in aligned columns; columns that are empty throughout are left out. */
export function printColumns(rows: readonly (readonly string[])[]): void {
  const shown = rows[0]!.map((_, column) => column).filter((column) => rows.some((row, index) => index > 0 && row[column] !== ""));
  const widths = shown.map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) print(shown.map((column, i) => row[column]!.padEnd(widths[i]!)).join("  ").trimEnd());
}

/** What a run is about, e.g. "ITA − ENG on ITA_test, seed 32" or "ENi2f + ITA on ENi2f_test". */
function title({ kind, datasets, vectors, config }: RunResults["run"]): string {
  const properties = vectors.map(({ property }) => property).join(" + ");
  const seed = config["seed"] === undefined || config["supportIndices"] !== undefined ? "" : `, seed ${String(config["seed"])}`;
  const against = kind === "single" && datasets["negative"] ? ` − ${datasets["negative"].name}` : "";
  const on = datasets["evaluation"] ?? datasets["source"];
  return `${properties}${against}${on ? ` on ${on.name}` : ""}${seed}`;
}

/** The language that steering leads to, where the datasets' names say so and it is not that of the question's own answers. */
function wantedLanguage({ run: { kind, datasets, vectors } }: RunResults): string | undefined {
  const [aimed, usual] = kind === "single" ? [datasets["positive"]?.name ?? vectors[0]!.property, datasets["negative"]?.name] : [datasets["composed"]?.name, datasets["source"]?.name];
  const language = aimed === undefined ? undefined : languageOfDataset(aimed);
  return usual !== undefined && languageOfDataset(usual) === language ? undefined : language;
}

function hits(language: string | undefined): Parameters<typeof summariseRun>[1] {
  return language === undefined ? undefined : ({ text }) => detectLanguage(text).language === language;
}

function estimate({ value, low, high }: Estimate, format: (value: number) => string): string {
  return `${format(value)} [${format(low)}, ${format(high)}]`;
}
