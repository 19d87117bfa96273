import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "@jest/globals";
import { EXIT } from "../../bin/exit-codes.js";
import { saveVector } from "../../lib/vector/vector-file.js";
import { smallVector } from "../support/vectors.js";

const COMMAND = fileURLToPath(new URL("../../bin/llama-steer.js", import.meta.url));
/** Nobody listens there: a command that tries to download fails with E_DOWNLOAD. */
const NOWHERE = "http://127.0.0.1:9";

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

// The commands run side by side, so they share a folder to work in, and a home that all of them leave empty.
const space = await mkdtemp(join(tmpdir(), "llama-steer-"));
const [work, home] = [join(space, "work"), join(space, "home")];
await mkdir(work);
await mkdir(home);
await writeFile(join(work, "empty.gguf"), "");
await writeFile(join(work, "text.gguf"), "not a model");
await writeFile(join(work, "rows.json"), '[{"input": "q", "answer": "a"}]');
await writeFile(join(work, "roles.json"), '[{"role": "user", "content": "q"}, {"role": "robot", "content": "q"}]');
await writeFile(join(work, "other.json"), '{"name": "other"}');
await saveVector(join(work, "good.safetensors"), smallVector());
await writeFile(join(work, "cut.safetensors"), (await readFile(join(work, "good.safetensors"))).subarray(0, -1));

afterAll(() => rm(space, { recursive: true, force: true }));

/** Run the command in `work`, as a script in CI would: no terminal, no colours, no model, no network; in English on a German machine. */
function run(...args: string[]): Promise<Outcome> {
  const env: NodeJS.ProcessEnv = {
    ...process.env, LC_ALL: "de_DE.UTF-8", LLAMA_STEER_HOME: home, CI: "1", HF_ENDPOINT: NOWHERE, PIP_INDEX_URL: NOWHERE,
  };
  const unset = ["NODE_OPTIONS", "NO_COLOR", "FORCE_COLOR", "LLAMA_STEER_DATASETS", "npm_command", "npm_lifecycle_event"];
  for (const name of unset) delete env[name];
  return new Promise((resolve, reject) => {
    const child = execFile(process.execPath, [COMMAND, ...args], { cwd: work, env }, (error, stdout, stderr) => {
      if (error && typeof error.code !== "number") reject(error);
      else resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
    child.stdin?.end();
  });
}

test.concurrent("--help lists every command and the exit codes, on stdout", async () => {
  const { code, stdout, stderr } = await run("--help");
  for (const command of ["demo", "models", "extract", "generate", "probe", "inspect", "doctor", "completion"]) {
    expect(stdout).toMatch(new RegExp(`^ +llama-steer ${command}\\b`, "m"));
  }
  const shown = [...stdout.replace(/\s+/g, " ").matchAll(/(\d+) (?:done|failure|usage|bad input|download|installation|interrupted)/g)];
  expect(shown.map((match) => Number(match[1]))).toEqual(Object.values(EXIT));
  expect({ code, stderr }).toEqual({ code: EXIT.ok, stderr: "" });
});

test.concurrent("--version is that of package.json", async () => {
  const { version } = JSON.parse(await readFile(new URL("../../../package.json", import.meta.url), "utf8")) as { version: string };
  expect(await run("--version")).toEqual({ code: EXIT.ok, stdout: `${version}\n`, stderr: "" });
});

type Failure = [name: string, args: string[], code: number, message: RegExp];

const USAGE: Failure[] = [
  ["no command", [], EXIT.usage, /expected a command/],
  ["an unknown command", ["frobnicate"], EXIT.usage, /unknown command "frobnicate"; expected one of: demo, serve, models/],
  ["a mistyped command", ["genrate", "m", "q"], EXIT.usage, /unknown command "genrate".*generate\?/],
  ["a missing argument", ["capture", "gemma3-270m"], EXIT.usage, /too few arguments; expected: llama-steer capture <model> <prompts>/],
  ["a missing option", ["capture", "gemma3-270m", "prompts.txt"], EXIT.usage, /missing: --out$/],
  ["an unknown option", ["generate", "gemma3-270m", "q", "--bogus"], EXIT.usage, /unknown: --bogus$/],
  [
    "a mistyped option with its value", ["generate", "gemma3-270m", "q", "--max-tokens", "3"], EXIT.usage,
    /unknown: --max-tokens; did you mean --max-new-tokens\?$/,
  ],
  ["a mistyped option of every command", ["models", "list", "--quite"], EXIT.usage, /unknown: --quite; did you mean --quiet\?$/],
  ["a sampler out of range", ["generate", "gemma3-270m", "q", "--top-p", "2"], EXIT.usage, /--top-p: expected number to be <=1$/],
  ["one that is no number", ["chat", "gemma3-270m", "--temperature", "warm"], EXIT.usage, /--temperature: expected number$/],
  ["an option that is gone", ["generate", "gemma3-270m", "q", "--raw"], EXIT.usage, /unknown: --raw/],
  [
    "a format that is none", ["trace", "gemma3-270m", "q", "--format", "jinja"], EXIT.usage,
    /format cannot be "jinja"; expected one of: "auto", "chat", "qa", "raw"/,
  ],
  [
    "a template variable without a name", ["generate", "gemma3-270m", "q", "--template-variable", "=1"], EXIT.usage,
    /expected NAME=JSON, e\.g\. enable_thinking=false/,
  ],
  [
    "a template variable that is not JSON", ["generate", "gemma3-270m", "q", "--template-variable", "mood=calm"], EXIT.usage,
    /--template-variable mood=calm: expected NAME=JSON/,
  ],
  ["an option without its value", ["generate", "gemma3-270m", "q", "--steer"], EXIT.usage, /steer/],
  ["a number without its value", ["generate", "gemma3-270m", "q", "--seed"], EXIT.usage, /--seed needs a value/],
  ["a file without its name", ["demo", "--out", "--json"], EXIT.usage, /--out needs a value/],
  [
    "a number given twice", ["generate", "gemma3-270m", "q", "--seed", "1", "--seed", "2"], EXIT.usage,
    /--seed is given 2 times; give it once/,
  ],
  ["a text given twice", ["demo", "--out", "a", "--out", "b"], EXIT.usage, /--out is given 2 times; give it once/],
  [
    "a prompt without quotes", ["generate", "gemma3-270m", "What", "do", "bees", "make?"], EXIT.usage,
    /unknown: do, bees, make\?\. Put a prompt .* in quotes/,
  ],
  ["no runs to evaluate", ["evaluate"], EXIT.usage, /too few arguments; expected: llama-steer evaluate <runs\.\.>/],
  [
    "a choice that is not offered", ["calibrate", "m", "v", "--kind", "foo"], EXIT.usage,
    /kind cannot be "foo"; expected one of: "dyn", "fixed", "start", "dim"/,
  ],
  ["an unknown subcommand", ["models", "frobnicate"], EXIT.usage, /unknown command "models frobnicate"; expected one of: list, pull, path/],
  ["an unknown subcommand of probe", ["probe", "frobnicate"], EXIT.usage, /train, inspect, text/],
];

// Models by name are not downloaded here: were a spec or vector checked after the model, the code would be E_DOWNLOAD.
const OURS: Failure[] = [
  [
    "a schedule that is unknown", ["generate", "gemma3-270m", "q", "--steer", "x:foo"], EXIT.usage,
    /unknown schedule "foo".*\[E_BAD_SPEC\]/,
  ],
  [
    "one bad schedule of two", ["generate", "gemma3-270m", "q", "--steer", "good.safetensors:dyn", "--steer", "good.safetensors:dyn,p=2"],
    EXIT.usage, /topP.*\[E_BAD_SPEC\]/,
  ],
  [
    "a bad schedule before a missing vector", ["generate", "gemma3-270m", "q", "--steer", "missing.safetensors:dyn", "--steer", "x:foo"],
    EXIT.usage, /\[E_BAD_SPEC\]/,
  ],
  [
    "a vector as a monitor", ["generate", "gemma3-270m", "q", "--monitor", "good.safetensors"], EXIT.input,
    /not a probe of llama-steer.*\[E_BAD_VECTOR\]/,
  ],
  [
    "a probe that is not there", ["probe", "text", "gemma3-270m", "missing.safetensors", "text"], EXIT.input,
    /probe file missing.safetensors does not exist.*\[E_NOT_FOUND\]/,
  ],
  ["a bad schedule before a bad model", ["generate", "text.gguf", "q", "--steer", "x:foo"], EXIT.usage, /\[E_BAD_SPEC\]/],
  [
    "a missing vector", ["generate", "gemma3-270m", "q", "--steer", "missing.safetensors:dyn"], EXIT.input,
    /missing\.safetensors does not exist \[E_NOT_FOUND\]/,
  ],
  [
    "a missing vector before a bad model", ["generate", "text.gguf", "q", "--steer", "missing.safetensors:dyn"], EXIT.input,
    /missing\.safetensors/,
  ],
  [
    "a truncated vector", ["generate", "gemma3-270m", "q", "--steer", "cut.safetensors:dyn"], EXIT.input,
    /cut\.safetensors.*\[E_BAD_VECTOR\]/,
  ],
  ["a truncated vector to look at", ["inspect", "cut.safetensors"], EXIT.input, /cut\.safetensors.*\[E_BAD_VECTOR\]/],
  ["a missing vector to look at", ["inspect", "missing.safetensors"], EXIT.input, /missing\.safetensors.*\[E_NOT_FOUND\]/],
  ["an empty prompt", ["generate", "gemma3-270m", " "], EXIT.usage, /prompt is empty.*\[E_BAD_ARGUMENT\]/],
  [
    "no prompt", ["generate", "gemma3-270m"], EXIT.usage,
    /no prompt is given; expected a question in quotes, one that is piped in, or --messages FILE \[E_BAD_ARGUMENT\]/,
  ],
  [
    "a prompt and messages", ["trace", "gemma3-270m", "q", "--messages", "roles.json"], EXIT.usage,
    /a prompt and --messages are both given.*\[E_BAD_ARGUMENT\]/,
  ],
  [
    "a message of nobody", ["generate", "gemma3-270m", "--messages", "roles.json"], EXIT.usage,
    /roles\.json: 1\.role: .*"assistant".*; expected a list of messages.*\[E_BAD_ARGUMENT\]/,
  ],
  [
    "a template variable twice", ["generate", "gemma3-270m", "q", "--template-variable", "a=1", "--template-variable", "a=2"], EXIT.usage,
    /sets a twice.*\[E_BAD_ARGUMENT\]/,
  ],
  [
    "a JSON file that is no specification", ["generate", "gemma3-270m", "q", "--steer", "other.json"], EXIT.usage,
    /other\.json: vector: expected the path of a vector file; expected \{"vector": "FILE\.safetensors".*\[E_BAD_SPEC\]/,
  ],
  [
    "a prompt's format without a prompt", ["evaluate", "text", "x", "--format", "chat"], EXIT.usage,
    /no effect without --perplexity.*\[E_BAD_ARGUMENT\]/,
  ],
  ["an unknown model name", ["generate", "gemma3-27m", "q"], EXIT.input, /"gemma3-27m"; did you mean gemma3-270m\?.*\[E_NOT_FOUND\]/],
  [
    "an unknown model name with a good vector", ["generate", "nonesuch", "q", "--steer", "good.safetensors:dyn"], EXIT.input,
    /"nonesuch".*\[E_NOT_FOUND\]/,
  ],
  ["a missing model file", ["generate", "missing.gguf", "q"], EXIT.input, /missing\.gguf does not exist \[E_NOT_FOUND\]/],
  ["a folder as model", ["generate", ".", "q"], EXIT.input, /is a folder.*\[E_NOT_FOUND\]/],
  ["an empty model file", ["generate", "empty.gguf", "q"], EXIT.input, /empty\.gguf is empty.*\[E_BAD_GGUF\]/],
  ["a model file that is no GGUF", ["generate", "text.gguf", "q"], EXIT.input, /6e6f7420.*\[E_BAD_GGUF\]/], // "not " in ASCII
  ["an address that is none", ["models", "pull", "hf:owner"], EXIT.usage, /hf:owner.*\[E_BAD_ARGUMENT\]/],
  ["a model that is not downloaded", ["models", "path", "missing.gguf"], EXIT.input, /\[E_NOT_FOUND\]/],
  ["no model to pull", ["models", "pull"], EXIT.usage, /\[E_BAD_ARGUMENT\]/],
  [
    "an unknown dataset", ["extract", "gemma3-270m", "--positive", "KLINGON", "--negative", "ENG"], EXIT.input,
    /"KLINGON"\. There are ENG, .*\[E_NOT_FOUND\]/,
  ],
  [
    "an option of pairs with demonstrations", ["extract", "gemma3-270m", "--positive", "ITA", "--negative", "ENG", "--pooling", "last"],
    EXIT.usage, /--pooling has no effect with --method icl; it is for --method mean, pca, probe.*\[E_BAD_ARGUMENT\]/,
  ],
  [
    "an option of demonstrations with pairs",
    ["extract", "gemma3-270m", "--positive", "ITA", "--negative", "ENG", "--method", "pca", "--support", "3"], EXIT.usage,
    /--support has no effect with --method pca; it is for --method icl.*\[E_BAD_ARGUMENT\]/,
  ],
  [
    "token steps without steps",
    ["extract", "gemma3-270m", "--positive", "ITA", "--negative", "ENG", "--method", "mean", "--pooling", "last", "--max-new-tokens", "3"],
    EXIT.usage, /--max-new-tokens has no effect with --pooling last.*\[E_BAD_ARGUMENT\]/,
  ],
  ["one dataset of two", ["extract", "gemma3-270m", "--positive", "ITA"], EXIT.usage, /missing: --negative \[E_BAD_ARGUMENT\]$/],
  [
    "nothing to extract from", ["extract", "gemma3-270m"], EXIT.usage,
    /give --towards WORDS, --positive and --negative, or --pairs FILE.*\[E_BAD_ARGUMENT\]/,
  ],
  [
    "two sources of a vector", ["extract", "gemma3-270m", "--towards", "is glad", "--pairs", "rows.json"], EXIT.usage,
    /--towards, --pairs exclude each other.*\[E_BAD_ARGUMENT\]/,
  ],
  [
    "an option of datasets with words", ["extract", "gemma3-270m", "--towards", "is glad", "--method", "pca"], EXIT.usage,
    /--method has no effect with --towards; it is for --method icl and .*\[E_BAD_ARGUMENT\]/,
  ],
  [
    "words with datasets", ["extract", "gemma3-270m", "--positive", "ITA", "--negative", "ENG", "--away", "is sad"], EXIT.usage,
    /--away has no effect with --method icl; it is for --towards.*\[E_BAD_ARGUMENT\]/,
  ],
  [
    "demonstrations of texts", ["extract", "gemma3-270m", "--pairs", "rows.json", "--method", "icl"], EXIT.usage,
    /--method icl needs --positive and --negative.*\[E_BAD_ARGUMENT\]/,
  ],
  [
    "texts that are not pairs", ["extract", "gemma3-270m", "--pairs", "rows.json"], EXIT.input,
    /rows\.json: .*expected a list of \{ positive, negative \} texts.*\[E_BAD_DATASET\]/,
  ],
  [
    "two choices of layers",
    ["extract", "gemma3-270m", "--positive", "ITA", "--negative", "ENG", "--method", "mean", "--layers", "1", "--best-layers", "2"],
    EXIT.usage, /only one of them.*\[E_BAD_ARGUMENT\]/,
  ],
  [
    "a malformed dataset", ["extract", "gemma3-270m", "--positive", "rows.json", "--negative", "ENG"], EXIT.input,
    /rows\.json: line 1: "output" must be .*; the row has the columns "input", "answer" \[E_BAD_DATASET\]/,
  ],
];

test.concurrent.each([...USAGE, ...OURS])("%s: one line on stderr and the documented exit code", async (_, args, code, message) => {
  const outcome = await run(...args);
  const [first, ...rest] = outcome.stderr.split("\n");
  expect(first).toMatch(/^llama-steer: \S/);
  expect(first).toMatch(message);
  const isUsage = USAGE.some(([, usage]) => usage === args);
  expect({ code: outcome.code, stdout: outcome.stdout, rest }).toEqual({
    code, stdout: "", rest: isUsage ? [expect.stringMatching(/^Try: llama-steer(?: [a-z]+)* --help$/), ""] : [""],
  });
  expect(await readdir(home)).toEqual([]); // nothing was downloaded, no lock is left
});

test.concurrent.each([USAGE[1]!, OURS[0]!, OURS[4]!, OURS[15]!])("%s, with --debug: the same and a stack", async (
  _, args, code, message,
) => {
  const plain = await run(...args);
  const { code: debugCode, stdout, stderr } = await run(...args, "--debug");
  expect({ code: debugCode, stdout }).toEqual({ code, stdout: "" });
  expect(stderr.startsWith(plain.stderr)).toBe(true);
  expect(stderr).toMatch(message);
  expect(stderr).toMatch(/^ +at .*\.js:\d+:\d+\)?$/m);
});

test.concurrent("models list --json", async () => {
  const { code, stdout, stderr } = await run("models", "list", "--json");
  const models = JSON.parse(stdout) as Array<{ name: string; installed: boolean; path: string }>;
  expect(models.map(({ name }) => name))
    .toEqual([
      "smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-1.5b-instruct", "qwen2.5-1.5b-instruct",
      "qwen3-1.7b", "llama-3.2-1b-instruct", "gemma-3-1b-it",
      "tiny", "tiny-formality", "llama-guard-2-8b", "llama-guard-3-1b", "llama-guard-3-8b",
    ]);
  for (const { name, installed, path } of models) {
    const isOwn = name.startsWith("tiny");
    expect({ name, installed, below: path.startsWith(join(home, "models")) }).toEqual({ name, installed: isOwn, below: !isOwn });
  }
  expect({ code, stderr }).toEqual({ code: EXIT.ok, stderr: "" });
});

test.concurrent("doctor --json says per check whether it is well, and the exit code agrees", async () => {
  const { code, stdout } = await run("doctor", "--json");
  const checks = JSON.parse(stdout) as Array<{ name: string; ok: boolean; found: string }>;
  expect(checks.map(({ name }) => name)).toEqual(expect.arrayContaining(["node", "addon", "threads", "models", "datasets"]));
  for (const check of checks) expect(check).toEqual({
    name: expect.any(String), ok: expect.any(Boolean), found: expect.stringMatching(/./),
  });
  expect(code).toBe(checks.every(({ ok }) => ok) ? EXIT.ok : EXIT.installation);
});

test.concurrent("inspect --json shows a vector without any model", async () => {
  const { code, stdout, stderr } = await run("inspect", "good.safetensors", "--json");
  expect(JSON.parse(stdout)).toMatchObject({ site: "head_out", layers: [0, 2], nSteps: 2, width: 3, provenance: smallVector().provenance });
  expect({ code, stderr }).toEqual({ code: EXIT.ok, stderr: "" });
});
