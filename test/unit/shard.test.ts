import { expect, test } from "@jest/globals";
import { shard } from "../../bin/shard.js";

const slurm = (id: number, min: number, max: number, step: number, count: number): NodeJS.ProcessEnv => ({
  SLURM_ARRAY_TASK_ID: String(id), SLURM_ARRAY_TASK_MIN: String(min), SLURM_ARRAY_TASK_MAX: String(max),
  SLURM_ARRAY_TASK_STEP: String(step), SLURM_ARRAY_TASK_COUNT: String(count),
});

test.each<[string, NodeJS.ProcessEnv, number, number]>([
  ["Slurm", slurm(3, 0, 7, 1, 8), 3, 8],
  ["Slurm, from 1", slurm(8, 1, 8, 1, 8), 7, 8],
  ["Slurm, in steps", slurm(6, 2, 10, 4, 3), 1, 3],
  ["Slurm, run again in part", { ...slurm(5, 4, 7, 1, 4), LLAMA_STEER_SHARDS: "8" }, 5, 8],
  ["Grid Engine", { SGE_TASK_ID: "4", SGE_TASK_FIRST: "1", SGE_TASK_LAST: "4", SGE_TASK_STEPSIZE: "1" }, 3, 4],
  ["Kubernetes", { JOB_COMPLETION_INDEX: "2", LLAMA_STEER_SHARDS: "5" }, 2, 5],
  ["PBS", { PBS_ARRAY_INDEX: "0", LLAMA_STEER_SHARDS: "2" }, 0, 2],
  ["Torque", { PBS_ARRAYID: "1", LLAMA_STEER_SHARDS: "2" }, 1, 2],
])("--shard auto in a job of %s", (_, env, index, count) => {
  expect(shard("auto", "shard", env)).toEqual({ index, count });
});

test.each<[string, NodeJS.ProcessEnv, RegExp]>([
  ["no array", { SGE_TASK_ID: "undefined" }, /not a job of an array: none of SLURM_ARRAY_TASK_ID/],
  ["an array without its size", { JOB_COMPLETION_INDEX: "2" }, /LLAMA_STEER_SHARDS/],
  ["an array that does not begin with 0", { PBS_ARRAY_INDEX: "2", LLAMA_STEER_SHARDS: "2" }, /number the jobs from 0/],
  ["one job of an array that is run again", slurm(3, 3, 3, 1, 1), /LLAMA_STEER_SHARDS/],
  ["a list with gaps", slurm(3, 0, 7, 1, 3), /not numbered evenly/],
])("--shard auto with %s", (_, env, message) => {
  expect(() => shard("auto", "shard", env)).toThrow(message);
});

test.each(["4/4", "1", "-1/2", "1/0", "a/b", ""])("--shard %s is refused", (text) => {
  expect(() => shard(text, "shard", {})).toThrow(/expected I\/N/);
});
