import type { Shard } from "../lib/experiments.js";
import { SteeringError } from "../lib/index.js";

/** A scheduler's variables for one job of an array; its numbers may begin anywhere and have gaps of one size. */
interface ArrayVariables {
  scheduler: string;
  index: string;
  first?: string;
  last?: string;
  step?: string;
}

/** Those that name neither end need the number of jobs from the user. */
const ARRAYS: readonly ArrayVariables[] = [
  {
    scheduler: "Slurm", index: "SLURM_ARRAY_TASK_ID", first: "SLURM_ARRAY_TASK_MIN", last: "SLURM_ARRAY_TASK_MAX",
    step: "SLURM_ARRAY_TASK_STEP",
  },
  { scheduler: "Grid Engine", index: "SGE_TASK_ID", first: "SGE_TASK_FIRST", last: "SGE_TASK_LAST", step: "SGE_TASK_STEPSIZE" },
  { scheduler: "Kubernetes", index: "JOB_COMPLETION_INDEX" },
  { scheduler: "PBS", index: "PBS_ARRAY_INDEX" },
  { scheduler: "Torque", index: "PBS_ARRAYID" },
];
const COUNT = "LLAMA_STEER_SHARDS";

/** Reads I/N, or from the scheduler's variables if the text is `auto`. Throws E_BAD_ARGUMENT. */
export function shard(text: string, name: string, env: NodeJS.ProcessEnv = process.env): Shard {
  if (text === "auto") return shardOfArray(name, env);
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  if (index !== undefined && Number(index) < Number(count)) return { index: Number(index), count: Number(count) };
  throw new SteeringError("E_BAD_ARGUMENT", `--${name} ${text} is not a shard; expected I/N with I below N, e.g. 0/4, or auto`);
}

function shardOfArray(name: string, env: NodeJS.ProcessEnv): Shard {
  const refuse = (why: string): never => { throw new SteeringError("E_BAD_ARGUMENT", `--${name} auto: ${why}`); };
  const array = ARRAYS.find(({ index }) => wholeNumber(env[index]) !== undefined); // Grid Engine says "undefined" outside an array
  if (!array) return refuse(`this is not a job of an array: none of ${ARRAYS.map(({ index }) => index).join(", ")} is set. Give I/N`);
  const count = wholeNumber(env[COUNT]);
  const value = (variable: string | undefined): number | undefined => (variable === undefined ? undefined : wholeNumber(env[variable]));
  const number = value(array.index)!;
  const [first, last, step = 1] = [value(array.first), value(array.last), value(array.step)];
  if (count !== undefined || first === undefined || last === undefined) {
    if (count === undefined) return refuse(`${array.scheduler} does not say how many jobs there are: set ${COUNT} to it, or give I/N`);
    if (number < count) return { index: number, count };
    return refuse(`job ${number} is not below ${COUNT}=${count}; number the jobs from 0`);
  }
  const [index, nJobs] = [(number - first) / step, (last - first) / step + 1];
  if (nJobs === 1) return refuse(`an array of one job may be a part of a larger one, run again: set ${COUNT}, or give I/N`);
  const isEven = Number.isInteger(index) && Number.isInteger(nJobs) && !hasGaps(array, nJobs, env);
  if (isEven && index >= 0 && index < nJobs) return { index, count: nJobs };
  return refuse(`the jobs of this array are not numbered evenly (${first} to ${last}). Use a range such as 0-7`);
}

/** Slurm's arrays may list any numbers, e.g. 0,3,7. */
function hasGaps({ scheduler }: ArrayVariables, count: number, env: NodeJS.ProcessEnv): boolean {
  return scheduler === "Slurm" && (wholeNumber(env["SLURM_ARRAY_TASK_COUNT"]) ?? count) !== count;
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}
