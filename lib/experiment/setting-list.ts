import { SteeringError } from "../errors.js";
import { MAX_SETTINGS, type RunSetting } from "../results/index.js";
import { KINDS, type Strategy, type WrittenSchedule } from "../steering/index.js";
import type { ComposeConfig, SingleConfig } from "./config.js";

/** The largest alpha of Dyn, as published, and of budgets. */
const ALPHA_MAX = 2;
/** The paper uses Start and Dim only with alphas above this. */
const LEAST_SHORT_ALPHA = 0.5;
const ICL = "icl";
const NO_ICL = "no-icl";
const PROMPTED = "prompted";

/** All settings of a single experiment (docs/method.md §4). */
export function singleSettings(config: SingleConfig): RunSetting[] {
  return [...baselines(config), ...steered(config, 1)];
}

/** All settings of a composition (docs/method.md §5); `properties` are the names of its vectors. */
export function composeSettings(config: ComposeConfig, properties: readonly string[], language: string | undefined): RunSetting[] {
  return [
    ...baselines(config),
    ...(language === undefined ? [] : [baseline(`${ICL} ${language}`, "icl-language")]),
    ...properties.map((property, vector): RunSetting =>
      ({ label: `${property} alone`, prompt: "no-icl", steer: [{ vector, schedule: { kind: "fixed", alpha: 1 } }] })),
    ...steered(config, properties.length),
  ];
}

function baselines({ prompted }: Pick<SingleConfig, "prompted">): RunSetting[] {
  return [
    baseline(ICL, "icl"), baseline(NO_ICL, "no-icl"), ...(typeof prompted === "string" ? [baseline(PROMPTED, "prompted")] : []),
  ];
}

function baseline(label: string, prompt: RunSetting["prompt"]): RunSetting {
  return { label, prompt, steer: [] };
}

type Grid = Pick<SingleConfig | ComposeConfig, "strategies" | "alphas" | "topP" | "budgets" | "klReduction">;

function steered({ strategies, alphas, topP, budgets = [], klReduction }: Grid, nVectors: number): RunSetting[] {
  const grid = combinations(alphas, nVectors);
  const setting = (label: string, schedules: WrittenSchedule[]): RunSetting =>
    ({ label, prompt: "no-icl", steer: schedules.map((schedule, vector) => ({ vector, schedule })) });
  const alike = (label: string, schedule: WrittenSchedule): RunSetting => setting(label, Array(nVectors).fill(schedule));
  const ofStrategy = (kind: Strategy): RunSetting[] => {
    if (kind === "dynamic") {
      return topP.map((p) => alike(`${KINDS.dynamic.label} p=${p}`, {
        kind, topP: p, alphaMax: ALPHA_MAX, strongAlpha: ALPHA_MAX, klReduction,
      }));
    }
    const tried = kind === "fixed" ? grid : grid.filter((each) => each.every((alpha) => alpha > LEAST_SHORT_ALPHA));
    return tried.map((each) => setting(`${KINDS[kind].label} ${each.join("+")}`, each.map((alpha) => ({ kind, alpha }))));
  };
  return [
    ...strategies.flatMap(ofStrategy),
    ...budgets.map((nats) => alike(`Budget ${nats}`, { kind: "budget", nats, alphaMax: ALPHA_MAX, per: "token" })),
  ];
}

/** All choices of `n` values, the last value changing fastest. Throws E_BAD_ARGUMENT for more than `MAX_SETTINGS` choices. */
function combinations(values: readonly number[], n: number): number[][] {
  const count = values.length ** n;
  if (count > MAX_SETTINGS) {
    throw new SteeringError("E_BAD_ARGUMENT",
      `${values.length} alphas for each of ${n} vectors make ${count} settings; expected at most ${MAX_SETTINGS}: give fewer alphas`);
  }
  const extended = (chosen: number[][]): number[][] => chosen.flatMap((each) => values.map((value) => [...each, value]));
  return Array.from({ length: n }).reduce<number[][]>(extended, [[]]);
}
