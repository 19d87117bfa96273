import { existsSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { SteeringError } from "../../errors.js";
import { readableLayers } from "../../capture/index.js";
import { datasetsFolder, loadDataset, testPart, type Dataset } from "../../dataset/index.js";
import type { Engine } from "../../engine/index.js";
import {
  brevityEvaluator, contentDatasets, fluencyEvaluator, judgedProperty, keptEvaluator, languageEvaluator, probeEvaluator,
  type Evaluator,
} from "../../evaluate/index.js";
import { loadProbe, saveProbe, trainProbe, type Probe } from "../../probe/index.js";
import { plannedEvaluator, probePairs, type Sides } from "../../results/index.js";
import { assertMadeFor } from "../../vector/index.js";
import type { MethodProperty, MethodsConfig } from "./config.js";

/** Answers of each side that train a probe, and that it is tested on: our sides are easily told apart. */
const [ROWS, HELD_OUT_ROWS] = [40, 20];
const FIT = { folds: 3, lambdas: [1, 0.1] };

/** Who judges the answers. */
export interface Judges {
  /** One per property, each with a wanted value. */
  effects: Evaluator[];
  kept: Evaluator;
  /** The effects, the content kept, and what is merely measured. */
  all: Evaluator[];
}

/** What judges are made with. */
export interface JudgeKit {
  /** Another model than the steered one, and its name. */
  judge: Engine;
  judgeName: string;
  /** Folder of the datasets. */
  datasets: string | undefined;
  /** The run's folder, which keeps the probes. */
  out: string;
  signal: AbortSignal | undefined;
  onNotice: ((line: string) => void) | undefined;
}

/** Where judges come from. The caller disposes of those that it loads. */
export interface JudgeSource {
  load: (name: string) => Promise<Engine>;
  /** Called for a loaded judge that turns out to be the steered model: it is not used. */
  release: (name: string) => Promise<void>;
}

/** Stands for the steered model among the judges. */
const ITSELF = "itself";

/** The first judge that is not the steered model, by whatever name. Loads those before it, and releases them. Throws E_BAD_ARGUMENT. */
export async function chosenJudge(
  model: Engine, { judges, name }: Pick<MethodsConfig, "judges" | "name">,
  { modelName = model.info.path, load, release }: JudgeSource & { modelName?: string | undefined },
): Promise<Pick<JudgeKit, "judge" | "judgeName">> {
  const own = { ...await model.fingerprint() };
  for (const judgeName of judges) {
    if (judgeName === ITSELF) return { judge: model, judgeName };
    if (judgeName === modelName) continue;
    const judge = await load(judgeName);
    if (!isDeepStrictEqual({ ...await judge.fingerprint() }, own)) return { judge, judgeName };
    await release(judgeName);
  }
  throw new SteeringError("E_BAD_ARGUMENT", `${name}: the only judge is the steered model itself; name another model in judges, or "${ITSELF}"`);
}

/** The judges of a comparison. Trains those probes that the run's folder does not hold. */
export async function judgesFor({ properties }: MethodsConfig, kit: JudgeKit): Promise<Judges> {
  const effects: Evaluator[] = [];
  for (const property of properties) effects.push(await effectOf(property, kit));
  const { judge, judgeName, datasets, signal } = kit;
  const kept = await keptEvaluator(judge, {
    datasets: contentDatasets(datasets ?? datasetsFolder(), judgeName), ...(signal && { signal }),
  });
  kit.onNotice?.(`content kept: read from ${judgeName}, layer ${kept.gold.layer}, which tells answers to the same question from others `
    + `(${kept.gold.datasets.join(", ")}) with an AUC of ${kept.gold.auc.toFixed(3)}`);
  return { effects, kept, all: [...effects, kept, fluencyEvaluator()] };
}

async function effectOf(property: MethodProperty, kit: JudgeKit): Promise<Evaluator> {
  const { judge: how, name } = property;
  if (how !== "probe" && "language" in how) return languageEvaluator({ wanted: how.language });
  if (how !== "probe" && "brevity" in how) return brevityEvaluator(how.brevity);
  const pairs = probePairs(property)!;
  const probe = await probeFor(pairs, kit.judge, { ...kit, file: `judge-${name}.safetensors` });
  const { auc, accuracy } = probe.heldOut;
  kit.onNotice?.(`${name}: judged by a probe on ${kit.judgeName} (layer ${probe.layer}), which puts ${Math.round(100 * accuracy)} % of `
    + `held-out labelled answers right (AUC ${auc.toFixed(3)})`);
  const evaluator = probeEvaluator(kit.judge, probe, { wanted: "positive", property: judgedProperty(property) });
  return { ...evaluator, name: plannedEvaluator(property), wanted: name };
}

/** A probe that tells the sides of datasets apart; trained on their answers, and kept in the run's folder. */
export async function probeFor(
  pairs: readonly Sides[], model: Engine,
  { out, file, datasets, signal, onNotice, layers }: Omit<JudgeKit, "judge" | "judgeName"> & { file: string; layers?: readonly number[] },
): Promise<Probe> {
  const path = join(out, file);
  if (existsSync(path)) {
    const probe = await loadProbe(path);
    assertMadeFor(probe, await model.fingerprint(), false, "probe");
    return probe;
  }
  const side = (index: 0 | 1): string[] => pairs.map((pair) => pair[index]);
  const [shows, lacks] = await Promise.all([side(0), side(1)].map((names) => joined(names, ROWS, (name) => loadDataset(name, datasets))));
  const [evalPositive, evalNegative] = await Promise.all(
    [side(0), side(1)].map((names) => joined(names, HELD_OUT_ROWS, (name) => testPart(name, datasets))));
  onNotice?.(`training a probe: ${file}`);
  const probe = await trainProbe(model, {
    positive: shows!, negative: lacks!, layers: layers ?? everyThird(readableLayers(model, "resid_post")), ...FIT,
    ...(signal && { signal }),
    ...(evalPositive && evalNegative && { evalPositive, evalNegative }),
  });
  await saveProbe(path, probe);
  return probe;
}

/** The first rows of several datasets in one; undefined if one does not exist. */
async function joined(
  names: readonly string[], n: number, load: (name: string) => Promise<Dataset | undefined>,
): Promise<Dataset | undefined> {
  const found = await Promise.all(names.map(load));
  const all = found.flatMap((dataset) => dataset ?? []);
  if (all.length < names.length) return undefined;
  const name = all.map((dataset) => dataset.name).join("+");
  return { name, instruction: all[0]!.instruction, rows: all.flatMap(({ rows }) => rows.slice(0, n)) };
}

function everyThird(layers: readonly number[]): number[] {
  return layers.filter((_, index) => index % 3 === 2 || index === layers.length - 1);
}
