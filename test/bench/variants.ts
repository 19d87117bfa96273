// What the variants of Dyn change, against the published method:
//   node dist/test/bench/variants.js [MODEL [QUESTIONS [FOLDER [LANGUAGE...]]]]
// Each language's vector comes from demonstrations (docs/method.md §3); its held-out questions are answered in every setting, many at
// once. FOLDER gets a file per language and ten questions, and those in it are not computed again.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { datasets, evaluate } from "../../lib/experiments.js";
import { extract, loadDataset, loadModel, type ScheduleInput, type VectorData } from "../../lib/index.js";
import { writeFileAtomic } from "../../lib/formats/index.js";
import {
  deltaPerplexityFrom, generateText, perplexity, perplexityOf, withFoundAlphas, type GenerateOptions, type GenerationResult,
} from "../../lib/generate/index.js";
import { quantile } from "../../lib/maths/statistics.js";
import { evaluationPrompts, type EvaluationPrompt } from "../../lib/prompt/index.js";

const [name = "tiny", count = "50", out = "", ...chosen] = process.argv.slice(2);
const LANGUAGES = { ITA: "ita", FRA: "fra", SPA: "spa", ZHO: "cmn" } as const;
const languages = Object.keys(LANGUAGES).filter((each) => chosen.length === 0 || chosen.includes(each)) as Array<keyof typeof LANGUAGES>;
const [TOKENS, AT_ONCE] = [30, 10];

interface Setting {
  label: string;
  /** The setting whose tokens it is compared with. */
  exact?: string;
  schedule: ScheduleInput;
  how?: GenerateOptions;
}

const skip = { below: 0.1, after: 2, for: 4 };
const clean = { ownHistory: "clean" } as const;
const SETTINGS: Setting[] = [
  { label: "unsteered", schedule: { kind: "fixed", alpha: 0 } },
  ...[0.5, 0.3].flatMap((topP): Setting[] => {
    const exact = `p=${topP}`;
    const dyn = { kind: "dynamic", topP } as const;
    return [
      { label: exact, schedule: dyn },
      { label: `${exact} clean`, exact, schedule: dyn, how: clean },
      { label: `${exact} skip`, exact, schedule: { ...dyn, skip } },
    ];
  }),
];

/** What one answer showed. */
interface Answer {
  tokens: number[];
  isHit: boolean;
  /** docs/method.md §6; null without an answer to the prompt with demonstrations. */
  deltaPerplexity: number | null;
  /** Of the answer itself, unsteered; null if it is empty. */
  perplexity: number | null;
  /** In the pipeline. */
  decodes: number;
  rows: number;
  /** Steps in the plain order that need an output row of their own. */
  outputs: number;
  measured: number;
}

type Answers = Record<string, Answer[]>;

/** The answers to the questions from `begin` on, at most `AT_ONCE`. */
async function answersIn(language: keyof typeof LANGUAGES, begin: number): Promise<Answers> {
  const folder = datasets.folder(name);
  const [positive, negative] = await Promise.all([loadDataset(language, folder), loadDataset("ENG", folder)]);
  const vector = await extract(model, { positive, negative, strength: false });
  const test = await loadDataset(`${language}_test`, folder);
  const prompts = evaluationPrompts(model, { questions: test, icl: test }, {
    iclExamples: 4, evaluationSize: Number(count), evaluateOn: "rows", promptFormat: "clean", maxNewTokens: TOKENS,
  });
  const isHit = async (text: string): Promise<boolean> => (await evaluate.detectLanguage(text)).language === LANGUAGES[language];
  const each = await Promise.all(prompts.slice(begin, begin + AT_ONCE).map((prompt) => answersTo(prompt, vector, isHit)));
  return Object.fromEntries(SETTINGS.map(({ label }) => [label, each.map((answers) => answers[label]!)]));
}

async function answersTo(
  prompt: EvaluationPrompt, vector: VectorData, isHit: (text: string) => Promise<boolean>,
): Promise<Record<string, Answer>> {
  const common = { maxNewTokens: TOKENS, stop: prompt.stop };
  const icl = await generateText(model, prompt.icl, { ...common, logProbabilities: true });
  const written = icl.tokens.filter(({ token }) => !model.isEndOfGeneration(token));
  const reference = {
    tokens: written.map(({ token }) => token), perplexity: perplexityOf(written.map(({ logProbability }) => logProbability!)),
  };
  return Object.fromEntries(await Promise.all(SETTINGS.map(async ({ label, schedule, how }) => {
    const steer = [{ vector, schedule }];
    const result = await generateText(model, prompt.noIcl, { ...common, ...how, steer, pipeline: "on" });
    const tokens = result.tokens.map(({ token }) => token);
    const answer: Answer = {
      tokens, isHit: await isHit(result.answer), ...work(result),
      deltaPerplexity: reference.tokens.length === 0 ? null
        : await deltaPerplexityFrom(model, prompt.noIcl, reference, { ...how, steer: withFoundAlphas(steer, result) }),
      perplexity: tokens.length === 0 ? null : await perplexity(model, prompt.noIcl, tokens),
    };
    return [label, answer];
  })));
}

function work({ work: { decodes, rows }, tokens }: GenerationResult): Pick<Answer, "decodes" | "rows" | "outputs" | "measured"> {
  const readings = tokens.map(({ readings: [reading] }) => reading!);
  return {
    decodes, rows, measured: readings.filter(({ kl }) => kl !== null).length,
    outputs: readings.filter(({ alpha, kl }) => kl === null || (alpha !== 0 && alpha !== 2)).length,
  };
}

/** The share of the exact answer's tokens before the first that differs. */
function sameTokens(answers: readonly Answer[], exact: readonly Answer[]): number {
  const same = exact.map(({ tokens }, index) => {
    const first = tokens.findIndex((token, at) => token !== answers[index]!.tokens[at]);
    return first < 0 ? tokens.length : first;
  });
  return sum(same) / sum(exact.map(({ tokens }) => tokens.length));
}

function line(label: string, answers: readonly Answer[], exact: readonly Answer[]): string {
  const per = (what: (answer: Answer) => number): number => sum(answers.map(what)) / sum(answers.map(({ tokens }) => tokens.length));
  const cells = [
    label, sameTokens(answers, exact).toFixed(2), `${answers.filter(({ isHit }) => isHit).length} of ${answers.length}`,
    middle(answers.map(({ deltaPerplexity }) => deltaPerplexity)), middle(answers.map((each) => each.perplexity)),
    per(({ decodes }) => decodes).toFixed(2), per(({ rows }) => rows).toFixed(2), per(({ measured }) => measured).toFixed(2),
    per(({ outputs }) => outputs).toFixed(2),
  ];
  return `| ${cells.join(" | ")} |`;
}

const middle = (values: ReadonlyArray<number | null>): string => quantile(values.filter((value) => value !== null), 0.5).toFixed(2);
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

function table(title: string, found: Answers): string {
  const head = ["setting", "same tokens", "in the language", "ΔPPL", "PPL of the answer", "decodes", "rows", "measured", "output rows"];
  const lines = SETTINGS.map(({ label, exact = label }) => line(label, found[label]!, found[exact]!));
  return [`\n${title}`, `| ${head.join(" | ")} |`, `|${"---|".repeat(head.length)}`, ...lines].join("\n");
}

const nothing = (): Answers => Object.fromEntries(SETTINGS.map(({ label }) => [label, []]));
const found = Object.fromEntries(languages.map((language) => [language, nothing()]));
if (out) mkdirSync(out, { recursive: true });
await using model = await loadModel(name, { contextSize: 8192, maxSequences: 48, maxGenerations: 48 });
for (let begin = 0; begin < Number(count); begin += AT_ONCE) {
  for (const language of languages) {
    const file = join(out, `${language}-${begin}.json`);
    const answers = out && existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) as Answers : await answersIn(language, begin);
    if (out) await writeFileAtomic(file, JSON.stringify(answers));
    for (const { label } of SETTINGS) found[language]![label]!.push(...answers[label]!);
  }
}
for (const language of languages) console.log(table(`${name}, ${language}`, found[language]!));
const all = Object.fromEntries(SETTINGS.map(({ label }) => [label, languages.flatMap((language) => found[language]![label]!)]));
console.log(table(`${name}, ${languages.join(" ")}; per token: decodes, rows, steps measured, output rows needed`, all));
