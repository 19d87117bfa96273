import tseslint from "typescript-eslint";

/** Which folders of lib/ a folder may import from, besides `arguments`, from the ground up (docs/architecture.md, "Folders"). */
const ARROWS = {
  maths: [],
  native: [],
  formats: [],
  arguments: ["formats"],
  steering: [],
  grammar: ["formats", "native"],
  models: ["formats"],
  vector: ["formats", "steering"],
  results: ["formats", "maths", "steering"],
  dataset: ["formats", "maths", "models", "vector"],
  engine: ["formats", "grammar", "models", "native", "steering", "vector"],
  prompt: ["dataset", "engine", "vector"],
  capture: ["engine", "formats", "native", "vector"],
  probe: ["capture", "dataset", "engine", "formats", "maths", "native", "prompt", "steering", "vector"],
  generate: ["engine", "native", "probe", "prompt", "steering", "vector"],
  model: ["capture", "engine", "generate", "prompt"],
  evaluate: ["capture", "dataset", "engine", "formats", "generate", "maths", "probe", "prompt", "results"],
  calibrate: ["capture", "dataset", "engine", "evaluate", "generate", "maths", "prompt", "results", "steering", "vector"],
  extract: [
    "calibrate", "capture", "dataset", "engine", "evaluate", "formats", "generate", "maths", "models", "prompt", "results", "steering",
    "vector",
  ],
  gallery: ["engine", "formats", "models", "steering", "vector"],
  experiment: [
    "calibrate", "capture", "dataset", "engine", "evaluate", "extract", "formats", "generate", "maths", "models", "probe", "prompt",
    "results", "steering", "vector",
  ],
  server: [
    "calibrate", "dataset", "engine", "evaluate", "extract", "formats", "gallery", "generate", "model", "models", "probe", "prompt",
    "steering", "vector",
  ],
  /** In browsers: only types of the server. */
  page: ["server"],
  report: ["engine", "evaluate", "experiment", "formats", "maths", "models", "results", "steering", "vector"],
};

/** Refuses `specifiers`, a regular expression, in imports of all kinds. */
const refused = (files, rules) => ({
  files,
  rules: {
    "no-restricted-imports": ["error", { patterns: rules.map(({ specifiers, message }) => ({ regex: specifiers, message })) }],
    "no-restricted-syntax": ["error", ...rules.map(({ specifiers, message }) =>
      ({ selector: `ImportExpression[source.value=/${specifiers.replaceAll("/", "\\/")}/]`, message }))],
    "no-console": "error",
  },
});

const pastTheFace = {
  specifiers: `^\\.\\.?/(\\.\\./)*(lib/)?(${Object.keys(ARROWS).join("|")})/(?!(schemas/)?index\\.js$)`,
  message: "Import a folder through its index.js.",
};

const ownColours = { specifiers: "^picocolors$", message: "Use the colours of a stream: bin/colours.ts." };

const arrowRules = Object.entries(ARROWS).map(([folder, allowed]) => {
  const also = folder === "formats" ? [folder] : [folder, "arguments"];
  const forbidden = Object.keys(ARROWS).filter((other) => ![...also, ...allowed].includes(other));
  return refused([`lib/${folder}/**/*.{ts,tsx}`], [
    {
      specifiers: `^(\\.\\./)+(${forbidden.join("|")})/`,
      message: `lib/${folder} may import ${allowed.join(", ") || "nothing"} (docs/architecture.md).`,
    },
    { specifiers: "^(\\.\\./)+(index|experiments)\\.js$|/bin/", message: "Upward import." },
    pastTheFace,
  ]);
});

const SHORT = { code: 140, ignoreUrls: true, ignoreRegExpLiterals: true, ignoreTemplateLiterals: true };
/** Where lines have at most 140 characters, except for texts that end where they end. */
const SHORT_LINES = ["**/*.{ts,tsx,mts,cts,mjs}"];

export default tseslint.config(
  { ignores: ["dist/", "build/", "node_modules/", "runs/"] },
  ...tseslint.configs.recommended,
  ...arrowRules,
  // The two public entries import the public names of each folder, too.
  refused(["lib/*.ts"], [{ ...pastTheFace, specifiers: pastTheFace.specifiers.replace("index", "(index|public)") }]),
  { files: ["bin/**/*.ts"], rules: { ...refused([], [pastTheFace, ownColours]).rules, "no-console": "off" } },
  {
    files: ["lib/**/*.ts", "bin/**/*.ts"],
    rules: {
      "no-restricted-syntax": ["error", {
        selector: "CallExpression[callee.property.name=/^(sync|datasync|readv)$/]",
        message: "Yarn's Plug'n'Play has no such method: use lib/formats/flush.ts.",
      }],
    },
  },
  { files: ["bin/colours.ts"], rules: { "no-restricted-imports": "off" } },
  { files: SHORT_LINES, rules: { "max-len": ["error", SHORT] } },
  { files: ["**/*.cts"], rules: { "@typescript-eslint/no-require-imports": "off" } },
  {
    rules: {
      "max-lines": ["error", { max: 300, skipBlankLines: false, skipComments: false }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      eqeqeq: "error",
    },
  },
);
