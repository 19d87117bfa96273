import { conceptOf, RUBRIC_NAMES, rubricsFor, type WantedProperties } from "../lib/evaluate/index.js";
import { datasets, evaluate, type Evaluator, type GoldAgreement, type Rubric, type YesNoRubric } from "../lib/experiments.js";
import { loadDataset, SteeringError, type Model } from "../lib/index.js";
import { defined } from "./common.js";

/** The options of the judge. */
export interface JudgeGiven {
  rubric: readonly string[];
  against?: string | undefined;
  concept?: string | undefined;
}

/** A judge that agrees less with labelled answers says little. */
const LEAST_KAPPA = 0.6;

type Included = (typeof RUBRIC_NAMES)[number];

const isIncluded = (name: string): name is Included => (RUBRIC_NAMES as readonly string[]).includes(name);

/** The evaluators of a judge: those of the given rubrics or, by default, one for each wanted property. Throws E_BAD_ARGUMENT. */
export async function judgeEvaluators(
  model: Model, given: JudgeGiven, wanted: WantedProperties, gold: Readonly<Record<string, GoldAgreement>>,
): Promise<Evaluator[]> {
  const { rubric: names, against, concept } = given;
  const found: Evaluator[] = [];
  for (const { rubric, label } of await askedRubrics(given, wanted)) {
    const threshold = gold[`judge-${rubric.name}`]?.fitted?.threshold;
    found.push(await evaluate.judge(model, rubric, defined({ wanted: label, threshold })));
    if (against !== undefined && isComparable(rubric)) {
      found.push(await evaluate.judge(model, rubric, { against, ...defined({ wanted: label }) }));
    }
  }
  if (names.includes("quality")) {
    const shown = concept ?? conceptOf(wanted);
    if (shown === undefined) {
      throw new SteeringError("E_BAD_ARGUMENT", "--rubric quality needs to know what the answers should show; give it with --concept, "
        + 'e.g. --concept "is written in Italian"');
    }
    found.push(await evaluate.quality(model, { concept: shown }));
  }
  return found;
}

/**
 * The rubrics that are named, but quality, or those of the wanted properties; each with the label that counts as a success, if any does.
 * Throws E_NOT_FOUND, E_BAD_ARGUMENT.
 */
export async function askedRubrics(
  { rubric: names }: Pick<JudgeGiven, "rubric">, wanted: WantedProperties,
): Promise<Array<{ rubric: Rubric; label: string | undefined }>> {
  const labelled = (rubric: Rubric, isOwn: boolean) =>
    ({ rubric, label: rubric.kind === "scale" ? undefined : wantedLabel(rubric, wanted, isOwn) });
  if (names.length > 0) {
    const others = names.filter((name) => name !== "quality");
    return Promise.all(others.map(async (name) => labelled(await rubricOf(name, wanted), !isIncluded(name))));
  }
  const usual = rubricsFor(wanted);
  if (usual.length > 0) return usual.map((rubric) => labelled(rubric, false));
  throw new SteeringError("E_BAD_ARGUMENT", "--judge: the datasets' names do not say what to judge; name it with --rubric");
}

/** An included rubric, or one in a file. */
export async function rubricOf(name: string, wanted: WantedProperties): Promise<Rubric> {
  return isIncluded(name) && name !== "quality" ? evaluate.rubric(name, wanted.language) : evaluate.loadRubric(name);
}

const isComparable = (rubric: Rubric): boolean => rubric.kind === "yes-no" && rubric.compare !== undefined;

/** Throws E_BAD_ARGUMENT for options that have no effect on the rubrics, and E_NOT_FOUND. */
export async function refuseIdle({ rubric: names, against, concept }: JudgeGiven): Promise<void> {
  if (concept !== undefined && !names.includes("quality")) {
    throw new SteeringError("E_BAD_ARGUMENT", "--concept has no effect without --rubric quality; add it, or leave --concept out");
  }
  if (against === undefined || names.length === 0) return; // all that are included compare, but quality
  const compares = await Promise.all(names.map(async (name) =>
    (isIncluded(name) ? name !== "quality" : isComparable(await evaluate.loadRubric(name)))));
  if (compares.includes(true)) return;
  throw new SteeringError("E_BAD_ARGUMENT", `--against has no effect with --rubric ${names.join(", ")}: no answers are compared by `
    + 'quality, by a scale, or by a rubric without "compare"; name one that compares, or leave --against out');
}

/** Throws E_BAD_ARGUMENT for options that compare settings, and so need a run with several. */
export function refuseAgainst(
  { against, kept, embedder }: { against?: string | undefined; kept?: string | undefined; embedder?: string | undefined },
): void {
  const name = Object.entries({ against, kept, embedder }).find(([, value]) => value !== undefined)?.[0];
  if (name === undefined) return;
  throw new SteeringError("E_BAD_ARGUMENT", `--${name} compares the settings of a run and has no effect here; leave it out`);
}

/** The label of the rubric that is wanted; otherwise the first, if the rubric is the user's own. */
function wantedLabel({ name, property = name, labels }: YesNoRubric, wanted: WantedProperties, isOwn: boolean): string | undefined {
  const value = isIncluded(property) ? wanted[property as keyof WantedProperties] : undefined;
  return labels.find((label) => label === value) ?? (isOwn ? labels[0] : undefined);
}

/** The rubrics with labelled answers of ours that `judgeEvaluators` asks. Throws E_BAD_ARGUMENT. */
export async function rubricsWithGold(given: JudgeGiven, wanted: WantedProperties): Promise<YesNoRubric[]> {
  const all = await askedRubrics(given, wanted);
  return all.flatMap(({ rubric }) => (rubric.kind === "yes-no" && rubric.gold ? [rubric] : []));
}

/** How far the judge agrees with labelled answers of ours; undefined for a rubric that has none. Throws E_NOT_FOUND. */
export async function agreementWithGold(
  model: Model, modelName: string, rubric: YesNoRubric, options: { n: number; signal: AbortSignal },
): Promise<GoldAgreement | undefined> {
  if (rubric.gold === undefined) return undefined;
  const folder = datasets.folder(modelName);
  const [positive, negative] = await Promise.all(rubric.gold.map((name) => loadDataset(name, folder)));
  const sides = {
    positive: { dataset: positive!, label: rubric.labels[0] }, negative: { dataset: negative!, label: rubric.labels[1] },
  };
  return evaluate.goldAgreement(await evaluate.judge(model, rubric), sides, options);
}

/** e.g. "agrees with 15 of 16 labelled answers (kappa 0.88), with its threshold at 0.93". */
export function goldText({ n, share, kappa, fitted }: GoldAgreement): string {
  const best = fitted ?? { n, share, kappa, threshold: 0.5 };
  if (best.share === null) return "gives no verdict on any of our labelled answers";
  const beyond = best.kappa === null ? "" : ` (kappa ${best.kappa.toFixed(2)})`;
  const weak = best.kappa !== null && best.kappa < LEAST_KAPPA ? ": a weak judge" : "";
  return `agrees with ${Math.round(best.share * best.n)} of ${best.n} labelled answers${beyond}, with its threshold at `
    + `${best.threshold.toPrecision(2)}${weak}`;
}
