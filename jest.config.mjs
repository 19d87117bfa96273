import { spawnSync } from "node:child_process";

/** Two suites at a time need processors of their own (test/support/own-processors.ts), which `taskset` of Linux gives them. */
const canSplit = spawnSync("taskset", ["--version"]).status === 0;
// A test extracts anew: a vector kept by an earlier run would hide what has changed since. Workers and commands inherit it.
process.env.LLAMA_STEER_NO_CACHE ??= "1";

// Tests run as compiled by `tsc`, as ES modules.
export default {
  testMatch: ["<rootDir>/dist/test/**/*.test.js"],
  testEnvironment: "node",
  transform: {},
  testTimeout: 60_000,
  setupFilesAfterEnv: ["<rootDir>/dist/test/support/own-processors.js"],
  maxWorkers: canSplit ? 2 : 1,
};
