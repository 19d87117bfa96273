import tseslint from "typescript-eslint";

/** Which folders of lib/ a folder may import from (docs/architecture.md, "Layers"). */
const ARROWS = {
  maths: [],
  native: [],
  steering: ["maths"],
  io: ["steering", "maths"],
  vector: ["io", "steering"],
  dataset: ["io", "steering", "maths"],
  results: ["io", "steering", "maths"],
  runtime: ["native", "io", "steering"],
  capture: ["runtime", "steering"],
  generate: ["runtime", "steering", "maths"],
  model: ["capture", "generate", "runtime", "steering"],
  evaluate: ["capture", "dataset", "generate", "results", "runtime", "steering", "io", "maths"],
  experiment: ["capture", "dataset", "evaluate", "generate", "results", "runtime", "vector", "steering", "io", "maths"],
  report: ["experiment", "evaluate", "results", "runtime", "steering", "io", "maths"],
};

// lib/index.ts and lib/api, the public names, import from all of them.
const arrowRules = Object.entries(ARROWS).map(([folder, allowed]) => {
  const forbidden = Object.keys(ARROWS).filter((other) => other !== folder && !allowed.includes(other));
  return {
    files: [`lib/${folder}/**/*.ts`],
    rules: {
      "no-restricted-imports": ["error", {
        patterns: [
          { group: forbidden.map((other) => `../${other}/*`), message: `lib/${folder} may import ${allowed.join(", ") || "nothing"} (docs/architecture.md).` },
          { group: ["../index.js", "../../bin/*"], message: "Upward import." },
        ],
      }],
      "no-console": "error",
    },
  };
});

export default tseslint.config(
  { ignores: ["dist/", "build/", "node_modules/", "runs/"] },
  ...tseslint.configs.recommended,
  ...arrowRules,
  {
    files: ["bin/**/*.ts"],
    rules: {
      "no-restricted-imports": ["error", { patterns: [{ group: ["**/lib/*/**"], message: "bin imports lib/index.js only." }] }],
    },
  },
  { files: ["**/*.cts"], rules: { "@typescript-eslint/no-require-imports": "off" } },
  {
    rules: {
      "max-lines": ["error", { max: 300, skipBlankLines: false, skipComments: false }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      eqeqeq: "error",
    },
  },
);
