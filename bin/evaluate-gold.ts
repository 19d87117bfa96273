import { RUBRIC_NAMES } from "../lib/evaluate/index.js";
import { evaluate, type YesNoRubric } from "../lib/experiments.js";
import { SteeringError } from "../lib/index.js";
import { command, options, type OutputOptions, type Values } from "./command.js";
import { interruptible, print } from "./common.js";
import { agreementWithGold, rubricOf } from "./judge-kit.js";
import { openModel } from "./open-model.js";
import { count, file, MACHINE } from "./options.js";
import { printColumns } from "./run-table.js";

const WITH_GOLD = RUBRIC_NAMES.filter((name) => name !== "quality");

const OPTIONS = options({
  ...MACHINE,
  judge: { ...file, describe: "Instruct model: a name, an hf: address, or a path to a GGUF" },
  rubric: {
    type: "string", array: true, describe: `What to ask: ${WITH_GOLD.join(", ")}, or a JSON file (repeatable)`,
    defaultDescription: "all of these",
  },
  language: { type: "string", describe: "Language that the rubric language asks for", defaultDescription: "it" },
  n: { ...count(), default: 16, describe: "Labelled answers per side" },
});

/** Holds a judge against labelled answers. */
export default command({
  usage: "gold <judge>",
  describe: "Measure how far a judge agrees with labelled answers",
  options: OPTIONS,
  examples: [["evaluate gold qwen2.5-coder-1.5b-instruct --rubric formality"]],
  run: (given) => interruptible((signal) => run(given, signal)),
});

async function run(given: Values<typeof OPTIONS> & OutputOptions, signal: AbortSignal): Promise<void> {
  const { judge, n, json } = given;
  const language = evaluate.parseLanguage(given.language ?? "it");
  const rubrics: YesNoRubric[] = [];
  for (const name of given.rubric.length > 0 ? given.rubric : WITH_GOLD) {
    const rubric = await rubricOf(name, { language });
    if (rubric.kind === "yes-no" && rubric.gold) rubrics.push(rubric);
    else throw new SteeringError("E_BAD_ARGUMENT", `${name} has no labelled answers; expected a yes-or-no rubric with "gold"`);
  }
  await using model = await openModel({ ...given, model: judge }, signal, { maxSequences: 32, contextSize: 16_384 });
  const rows: string[][] = [
    ["rubric", "labels", "answers", "not judged", "agree", "kappa", "AUC", "threshold", "agree", "kappa"],
  ];
  for (const rubric of rubrics) {
    const found = (await agreementWithGold(model, judge, rubric, { n, signal }))!;
    if (json) print(JSON.stringify({ judge, rubric: rubric.name, labels: rubric.labels, ...found }));
    rows.push([
      rubric.name, rubric.labels.join("/"), String(found.n), String(found.undetermined || ""), percent(found.share), number(found.kappa),
      number(found.auc), number(found.fitted?.threshold ?? null), percent(found.fitted?.share ?? null), number(found.fitted?.kappa ?? null),
    ]);
  }
  if (json) return;
  printColumns(rows);
  print("after the threshold: with a threshold fitted to one half of the answers, on the other half");
}

function percent(share: number | null): string {
  return share === null ? "" : `${Math.round(100 * share)} %`;
}

function number(value: number | null): string {
  return value === null ? "" : value.toFixed(2);
}
