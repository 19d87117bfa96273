// A test extracts anew: a vector kept by an earlier run would hide what has changed since. Workers and commands inherit it.
process.env.LLAMA_STEER_NO_CACHE ??= "1";

// Tests run as compiled by `tsc`, as ES modules.
export default {
  testMatch: ["<rootDir>/dist/test/**/*.test.js"],
  testEnvironment: "node",
  transform: {},
  testTimeout: 30_000,
  // llama.cpp's threads wait for each other at every step: two suites that compute much would take many times as long as in turn.
  // `npm run test:light` runs the others two at a time.
  maxWorkers: 1,
};
