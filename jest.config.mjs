// Tests run as compiled by `tsc`, as ES modules.
export default {
  testMatch: ["<rootDir>/dist/test/**/*.test.js"],
  testEnvironment: "node",
  transform: {},
  testTimeout: 30_000,
};
