/** The paper's experiments: a single property, a composition, plans of many runs, and comparisons of settings. */
import { given, checked } from "../arguments/index.js";
import { formatShape } from "../prompt/index.js";
import type { Shard } from "../results/index.js";
import { steerArgument } from "../vector/index.js";
import { compare as compareSettings, summarise as sumUp, type CompareOptions, type Setting } from "./compare.js";
import { runCompose } from "./compose.js";
import { composeSchema, singleSchema } from "./config.js";
import { loadPlan as readPlan, planRuns as runsOf, type LoadPlanOptions } from "./plan.js";
import { checkPlan as check, runPlan, type CheckPlanOptions, type PlanOptions } from "./run-plan.js";
import type { RunOptions } from "./run.js";
import { runSingle, type SingleRunOptions } from "./single.js";
export { COMPOSE_DEFAULTS, SINGLE_DEFAULTS, STRATEGIES } from "./config.js";
export { METHODS } from "./methods/config.js";
export { READY_PLANS } from "./plan.js";

const { path, text, number, callback, signal } = given;
const place = {
  out: path, datasets: path.optional(), parallel: number.optional(),
  shard: given.requiredOf<Shard>({ index: given.whole, count: given.whole }).nullable().optional(),
  signal: signal.optional(), onNotice: callback.optional(),
};
const oneRun = { ...place, modelName: text.optional(), onProgress: callback.optional(), onExtraction: callback.optional() };
/** Settings of an experiment, which checks their values itself. */
const settingsOf = (schema: { shape: object }): given.OptionsSchema => given.only(Object.keys(schema.shape), given.anObject);
const aPlan = given.required({
  name: text, folder: path, models: given.list(text), datasets: path.optional(), seeds: given.list(number), defaults: given.anObject,
  single: given.list(given.required({ positive: text, negative: text })),
  compose: given.list(given.required({ vectors: given.list(text), source: text, composed: text })),
  methods: given.list(given.required({ name: text, properties: given.list(given.anObject), questions: text, judges: given.list(text) }))
    .optional(),
});

/** @function */
export const single = checked("experiment.single", runSingle, {
  model: given.model, options: settingsOf(singleSchema),
  runOptions: given.requiredOf<SingleRunOptions>({ ...oneRun, vector: path.optional(), skipEval: given.flag.optional() }),
});
/** @function */
export const compose = checked("experiment.compose", runCompose, {
  model: given.model, options: settingsOf(composeSchema), runOptions: given.requiredOf<RunOptions>(oneRun),
});
/** @function */
export const loadPlan = checked("experiment.loadPlan", readPlan, {
  nameOrPath: path, options: given.optionsOf<LoadPlanOptions>({ signal }),
});
/** @function */
export const planRuns = checked("experiment.planRuns", runsOf, { plan: aPlan });
/** @function */
export const checkPlan = checked("experiment.checkPlan", check, {
  plan: aPlan, datasets: path.optional(), options: given.optionsOf<CheckPlanOptions>({ signal }),
});
/** @function */
export const plan = checked("experiment.plan", runPlan, {
  plan: aPlan,
  options: given.requiredOf<PlanOptions>({
    ...place, runs: given.list(given.anObject).optional(), load: callback, onRun: callback.optional(), onResults: callback.optional(),
  }),
});

/** @function */
export const compare = checked("experiment.compare", compareSettings, {
  model: given.model, questions: given.list(given.text),
  settings: given.list(given.requiredOf<Setting>({ label: text, steer: steerArgument, prompted: text.optional() })),
  options: given.requiredOf<CompareOptions>({
    maxNewTokens: number, atOnce: given.flag.optional(), ...formatShape, signal: signal.optional(), onAnswer: callback.optional(),
  }),
});
const detected = given.required({ language: given.text });
/** @function */
export const summarise = checked("experiment.summarise", sumUp, {
  answers: given.list(given.required({ setting: given.text, tokens: given.list(given.anything), seconds: number, detected })),
  language: given.text,
});
