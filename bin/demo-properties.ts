import { join, relative } from "node:path";
import { entriesFor } from "../lib/gallery/index.js";
import { extract, gallery as galleries, loadDataset, loadSteering, type LoadedSteering, type Model } from "../lib/index.js";
import { resolveFormat } from "../lib/prompt/index.js";
import { scheduleText } from "../lib/steering/index.js";
import { withProgress } from "./commands/extract.js";

/** A behaviour of the demo: a vector in a file, and how strongly it steers. */
export interface DemoProperty {
  label: string;
  /** The file as `--steer` takes it. */
  steer: string;
  steering: LoadedSteering;
}

const MOST = 3;
/** Token steps of an extracted vector; longer answers are steered by their mean. */
const MOST_STEPS = 20;
/** For a model with a chat template, which follows descriptions. */
const FROM_WORDS = {
  italian: { towards: "always answers in Italian", away: "always answers in English" },
  cheerful: { towards: "speaks like a cheerful friend", away: "is a gloomy pessimist" },
  concise: { towards: "answers as briefly as possible", away: "gives long-winded answers" },
};
/** For a base model, which imitates demonstrations. */
const FROM_DATASETS = {
  italian: { positive: "ITA", negative: "ENG" },
  french: { positive: "FRA", negative: "ENG" },
  formal: { positive: "ENi2f", negative: "ENf2i" },
};

/** The vectors that the package has for this model file; none for most models. */
export async function readyProperties(model: Model): Promise<DemoProperty[]> {
  const entries = entriesFor(await galleries.read(), await model.fingerprint()).slice(0, MOST);
  return Promise.all(entries.map(async ({ name, schedule }) => {
    const path = await galleries.pull(name);
    const [steering] = await loadSteering({ vector: path, schedule });
    return { label: name.slice(name.lastIndexOf("-") + 1), steer: `${shortest(path)}:${scheduleText(schedule)}`, steering: steering! };
  }));
}

/** Extracts the demo's properties, and saves their vectors in the folder; `datasets` is the folder of the model's datasets. */
export async function extractProperties(
  model: Model, folder: string,
  { datasets, maxNewTokens, quiet, signal }: { datasets: string; maxNewTokens: number; quiet: boolean; signal: AbortSignal },
): Promise<DemoProperty[]> {
  const fromWords = resolveFormat(model) === "chat";
  const steps = Math.min(maxNewTokens, MOST_STEPS);
  const properties: DemoProperty[] = [];
  for (const [label, source] of Object.entries(fromWords ? FROM_WORDS : FROM_DATASETS)) {
    const given = "towards" in source ? source : {
      positive: await loadDataset(source.positive, datasets), negative: await loadDataset(source.negative, datasets),
    };
    const vector = await withProgress(label, quiet, (shown) => extract(model, { ...given, maxNewTokens: steps, ...shown, signal }));
    const path = join(folder, `${label}.safetensors`);
    await vector.save(path);
    const schedule = vector.provenance.calibration?.schedule;
    const steer = schedule ? path : `${path}:fixed,1`; // no strength could be measured
    const [steering] = await loadSteering(steer);
    properties.push({ label, steer, steering: steering! });
  }
  return properties;
}

/** The path from here or, if that is longer, from the root. */
function shortest(path: string): string {
  const fromHere = relative("", path);
  return fromHere.length < path.length ? fromHere : path;
}
