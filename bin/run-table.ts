import { withLanguage } from "../lib/evaluate/index.js";
import {
  results as resultsApi, type Estimate, type Evaluation, type Outcome, type PairedDifference, type PropertyResult, type RunResults,
} from "../lib/experiments.js";
import { runTitle, unjudged } from "../lib/results/index.js";
import { print } from "./common.js";
import { comparedMethods } from "./methods-table.js";

/** The table of a run as an object, for `--json`. */
export async function runSummary(given: RunResults): Promise<object> {
  const results = await withLanguage(given);
  const { run, timings, isComplete, evaluations } = results;
  return {
    kind: run.kind, model: run.model.name, quantisation: run.model.fingerprint["quantisation"],
    vectors: run.vectors.map(({ property }) => property), isComplete,
    wanted: Object.fromEntries(evaluations.map(({ header }) => [header.evaluator, header.wanted])),
    agreement: agreementOf(evaluations),
    judges: resultsApi.judgeAgreement(evaluations), interference: resultsApi.interference(results),
    comparison: comparedMethods(results) ?? null,
    seconds: timings.reduce((sum, { seconds }) => sum + seconds, 0),
    settings: resultsApi.summarise(results),
    outcomes: resultsApi.outcomes(results).map((outcome) => ({
      name: outcome.name,
      means: Object.fromEntries(run.settings.map(({ label }) => [label, resultsApi.outcomeMean(results, outcome, label) ?? null])),
    })),
  };
}

/** Prints the table of a run: per setting the share of answers with each property and with all of them, and the median ΔPPL. */
export async function printRunTable(given: RunResults): Promise<void> {
  const results = await withLanguage(given);
  const { run, timings, evaluations } = results;
  const judged = evaluations.filter(({ header }) => header.wanted !== null);
  const settings = resultsApi.summarise(results);
  const outcomes = resultsApi.outcomes(results).filter(({ name }) => name !== "perplexity"); // its change is in the table
  const rows = settings.map(({ setting, answers, failed, deltaPerplexity, properties, joint }) => [
    setting, String(answers), ...judged.map(({ header }) => shareText(properties[header.evaluator], answers)), shareText(joint, answers),
    ...outcomes.map((outcome) => outcomeText(results, outcome, setting)),
    deltaPerplexity ? estimate(deltaPerplexity.median, (value) => value.toFixed(2)) : "",
    failed > 0 ? `${failed} failed` : "",
  ]);
  const seconds = timings.filter(({ what }) => what.startsWith("prompts")).reduce((sum, each) => sum + each.seconds, 0);
  const answered = new Set(results.records.map(({ prompt }) => prompt)).size;
  const rate = seconds > 0 ? `, ${(answered / seconds).toFixed(2)} prompts/s` : "";
  const shard = run.shard ? `, shard ${run.shard.index}/${run.shard.count}` : "";
  print(`\n${runTitle(run)}, ${run.model.name} (${String(run.model.fingerprint["quantisation"] ?? "?")}): `
    + `${answered} of ${run.nPrompts} prompts${rate}${shard}`);
  const titles = titlesOf(evaluations);
  const wanted = judged.map(({ header }) => `${titles.get(header.evaluator)} [95 %]`);
  printColumns([["setting", "answers", ...wanted, "all at once [95 %]", ...outcomes.map(({ name }) => `${name} [95 %]`), "median ΔPPL [95 %]", ""], ...rows]);
  const isUndetermined = (cell: string): boolean => /\?\)(?: of \d+)?$/.test(cell);
  if (rows.some((row) => row.some(isUndetermined))) print("(n?): n answers could not be judged; they do not count as successes");
  const missing = unjudged(results);
  if (missing.length > 0) print(`not judged yet: ${missing.join(", ")}; the plan's command judges them when it is run again`);
  const agreement = agreementOf(evaluations);
  printCompared(results);
  printInterference(results);
  for (const { judges, n, share, kappa } of resultsApi.judgeAgreement(evaluations).filter((each) => each.n > 0)) {
    const beyond = Number.isNaN(kappa) ? "" : ` (kappa ${kappa.toFixed(2)})`;
    print(`${judges.join(" and ")} agree on ${Math.round(100 * share)} % of ${n} answers${beyond}`);
  }
  if (agreement !== null) print(`eld and franc name the same language for ${Math.round(100 * agreement)} % of the answers`);
}

/** What each evaluator with a wanted value counts, by its name; with that name where several count the same. */
function titlesOf(evaluations: readonly Evaluation[]): Map<string, string> {
  const judged = evaluations.flatMap(({ header: { evaluator, wanted } }) => (wanted === null ? [] : [{ evaluator, wanted }]));
  return new Map(judged.map(({ evaluator, wanted }) =>
    [evaluator, judged.filter((other) => other.wanted === wanted).length > 1 ? `${wanted} (${evaluator})` : wanted]));
}

/** What each vector of a composition does to every judge, alone. */
function printInterference(results: RunResults): void {
  const judges = resultsApi.interference(results);
  const settings = judges[0]?.effects.map(({ setting }) => setting) ?? [];
  if (settings.length === 0) return;
  print("\nagainst the unsteered question, in percentage points (words: their number); *: p < 0.05, corrected by Holm");
  const titles = titlesOf(results.evaluations);
  printColumns([
    ["alone", ...judges.map(({ judge }) => titles.get(judge) ?? judge)],
    ...settings.map((setting, row) =>
      [setting, ...judges.map(({ judge, effects }) => change(effects[row], judge === "words" ? 1 : POINTS))]),
  ]);
}

/** A comparison of methods: paired tests against the prompted baseline, and the front of effect against ΔPPL. */
function printCompared(results: RunResults): void {
  const compared = comparedMethods(results);
  if (!compared) return;
  const { reference, range, rows } = compared;
  print(`\nagainst ${reference} on the same prompts, effect in percentage points; *: p < 0.05, corrected by Holm; area: under the front `
    + `of effect against ΔPPL, from ${range.from.toFixed(2)} to ${range.to.toFixed(2)}`);
  printColumns([
    ["setting", "effect", "score", "ΔPPL", "area [95 %]", ""],
    ...rows.map(({ setting, effect, score, deltaPerplexity, area, isOnFront }) => [
      setting, change(effect, POINTS), change(score, 2), change(deltaPerplexity, 2),
      area ? estimate(area, (value) => `${Math.round(100 * value)} %`) : "", isOnFront ? "on the front" : "",
    ]),
  ]);
}

const POINTS = "points";

/** A difference with its interval, with N decimals or in percentage points, and a star if it is significant. */
function change(found: PairedDifference | undefined, digits: number | typeof POINTS): string {
  if (!found?.difference) return "";
  const shown = (value: number): string => {
    const text = digits === POINTS ? String(Math.round(100 * value)) : value.toFixed(digits);
    return `${value > 0 ? "+" : ""}${text}`;
  };
  return `${estimate(found.difference, shown)}${found.pHolm! < 0.05 ? " *" : ""}`;
}

/** The share of answers for which both language detectors agree; null if they were not asked. */
function agreementOf(evaluations: readonly Evaluation[]): number | null {
  const rows = evaluations.find(({ header }) => header.evaluator === "language")?.rows ?? [];
  return rows.length === 0 ? null : rows.filter((row) => row["eval_language_agree"] === true).length / rows.length;
}

/** e.g. "90 % [79, 96] (2?) of 40": 2 of 40 answers could not be judged; "of 40" only while not all answers are evaluated. */
function shareText(result: PropertyResult | null | undefined, answers: number): string {
  if (!result) return "";
  const { share, undetermined, n } = result;
  const text = estimate(share, (value) => `${Math.round(100 * value)} %`);
  return `${text}${undetermined > 0 ? ` (${undetermined}?)` : ""}${n < answers ? ` of ${n}` : ""}`;
}

function outcomeText(results: RunResults, outcome: Outcome, setting: string): string {
  const found = resultsApi.outcomeMean(results, outcome, setting);
  return found ? estimate(found, (value) => value.toFixed(2)) : "";
}

/** Prints rows of text in aligned columns; a column without any text is left out. */
export function printColumns(rows: readonly (readonly string[])[]): void {
  const shown = rows[0]!.map((_, column) => column).filter((column) => rows.some((row, index) => index > 0 && row[column] !== ""));
  const widths = shown.map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) print(shown.map((column, i) => row[column]!.padEnd(widths[i]!)).join("  ").trimEnd());
}

function estimate({ value, low, high }: Estimate, format: (value: number) => string): string {
  return `${format(value)} [${format(low)}, ${format(high)}]`;
}
