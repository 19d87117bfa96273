import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { evaluate, experiment, loadClassifier, results } from "../../lib/experiments.js";
import { Chat, loadDataset, loadModel, Model, models, SteeringVector } from "../../lib/index.js";
import { Classifier } from "../../lib/engine/classifier.js";
import { seededRandom } from "../../lib/maths/random.js";
import { publicFunctions } from "../support/public-functions.js";
import { publicCalls, WITHOUT_ARGUMENTS, type PublicCall } from "../support/right-arguments.js";
import { OWN, wrongArguments } from "../support/wrong-arguments.js";

const MINUTES = 60_000;
const SEED = Number(process.env["LLAMA_STEER_TEST_SEED"] ?? 9);
/** Wrong calls of each function; fewer of those that compute, since many a wrong argument is none to them. */
const [N, N_SLOW] = [30, 5];
/** The longest right call takes a second or two on a quiet machine. */
const LONGEST_MS = MINUTES;

const home = process.cwd();
let folder: string;
let model: Model;
let classifier: Classifier;
let calls: PublicCall[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llama-steer-arguments-"));
  model = await loadModel("tiny", { threads: 1 }); // on a busy machine, threads wait for each other
  classifier = await loadClassifier("tiny-formality", { threads: 1 });
  calls = await publicCalls(model, classifier, folder);
  // Wrong paths are relative, and wrong names are asked for nowhere.
  process.chdir(folder);
  Object.assign(process.env, { HF_ENDPOINT: "http://127.0.0.1:9", LLAMA_STEER_PYPI: "http://127.0.0.1:9" });
}, 5 * MINUTES);

afterAll(async () => {
  process.chdir(home);
  model.dispose();
  classifier.dispose();
  await rm(folder, { recursive: true, force: true });
});

test("no public function is forgotten", () => {
  expect(publicFunctions().filter((name) => !WITHOUT_ARGUMENTS.includes(name) && !calls.some((call) => call.name === name))).toEqual([]);
});

/** Of public classes; the declarations leave these out, as internal or private. */
const INTERNAL = [
  "vectorHandle", "createCapture", "takeCapture", "createGate", "createSampler", "createContext", "createConstraint", "specialTokens",
  "read", "answer",
  "classifyAll", "checkTokens",
];

test("no public method is forgotten", () => {
  const owners = { model: Model, chat: Chat, classifier: Classifier, vector: SteeringVector };
  for (const [prefix, owner] of Object.entries(owners)) {
    const names = new Set<string>();
    for (let proto = owner.prototype as object; proto !== Object.prototype; proto = Object.getPrototypeOf(proto) as object) {
      for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(proto))) {
        if (typeof value === "function" && value.length > 0 && name !== "constructor") names.add(name);
      }
    }
    const open = [...names].filter((name) => !INTERNAL.includes(name) && !calls.some((call) => call.name === `${prefix}.${name}`));
    expect({ prefix, open }).toEqual({ prefix, open: [] });
  }
});

test("right arguments are taken, or refused for what they say", async () => {
  const refused = new Map<string, unknown>();
  for (const { name, call, args } of calls) await Promise.resolve().then(() => call(...args)).catch((
    error: { name: string; code?: string },
  ) => refused.set(name, error.code ?? error));
  // No instruct model for a judge, and no embedding model; a shard without its vector; another site than the published one; twelve bytes;
  // no model; twice the same.
  expect(Object.fromEntries(refused)).toEqual({
    "results.merge": "E_BAD_RUN", "results.planMerge": "E_BAD_RUN", "vectors.exportPublished": "E_SHAPE",
    "vectors.importPublished": "E_BAD_VECTOR",
    loadTranslator: "E_BAD_GGUF", loadEmbedder: "E_BAD_GGUF", "evaluate.ggufTranslator": "E_BAD_GGUF",
    "experiment.compose": "E_BAD_ARGUMENT",
    "probe.train": "E_BAD_DATASET", "evaluate.judge": "E_BAD_GGUF", "evaluate.quality": "E_BAD_GGUF", "evaluate.Judge.of": "E_BAD_GGUF",
  });
}, 5 * MINUTES);

test("thousands of calls with one thing wrong: whatever is thrown is a SteeringError, and none hangs", async () => {
  const random = seededRandom(SEED);
  const wrong: string[] = [];
  let [made, refused] = [0, 0];
  for (const { name, call, args, isSlow } of calls) {
    for (let i = 0; i < (isSlow ? N_SLOW : N); i++) {
      const given = wrongArguments(args, random);
      const left = new AbortController();
      const late = new Promise<never>((_, reject) => {
        const timer = setTimeout(() => reject(new Error("hangs")), LONGEST_MS);
        left.signal.addEventListener("abort", () => clearTimeout(timer));
      });
      made++;
      await Promise.race([Promise.resolve().then(() => call(...given)), late]).catch((error: Error) => {
        refused++;
        if (error?.name !== "SteeringError" && error !== OWN) wrong.push(
          `${name}, call ${i}: ${String(error?.stack ?? error).split("\n").slice(0, 3).join(" ")}`,
        );
      }).finally(() => left.abort());
    }
  }
  expect(wrong).toEqual([]);
  expect(made).toBeGreaterThan(3000);
  expect(refused).toBeGreaterThan(made / 2); // the others had nothing wrong that the function looks at
}, 15 * MINUTES);

/** Objects among the arguments that are not options but data, of which we read what we need: by call and index of the argument. */
const DATA = [
  "replay 1", "fromLlama 0", "datasets.save 1", "evaluate.probe 1", "evaluate.judge 1", "evaluate.knowledgeChange 0",
  "evaluate.knowledgeChange 1", "evaluate.goldAgreement 0", "evaluate.goldAgreement 1", "evaluate.translated 0", "evaluate.translated 1",
  "evaluate.withFoundAlphas 1", "evaluate.deltaPerplexity 1", "experiment.planRuns 0", "experiment.checkPlan 0", "experiment.plan 0",
  "models.isInstalled 0", "models.path 0", "models.pull 0", "probe.logit 0", "probe.save 1", "probe.read 1", "prompts.groups 0",
  "prompts.icl 1", "prompts.iclTokens 2", "results.interference 0", "results.outcomes 0", "results.outcomeMean 0", "results.outcomeMean 1",
  "results.pairedDifferences 0", "results.summarise 0", "results.toPublished 0", "results.write 1",
  "vectors.assertMadeFor 1", "new SteeringVector 0", "vector.with 0", "evaluate.run 1", "experiment.summarise 0", "prompts.chatTokens 1",
  "results.fromPublished 0", "results.hitMeasure 0", "results.jointHit 0", "results.judgeAgreement 0", "results.toPublished 1",
  "results.withColumns 0", "results.withColumns 1", "results.write 2", "SteeringVector.sum 0", "capture.means 1", "capture.texts 1",
  "probe.read 2", "evaluator.evaluate 0",
];
/** The same inside options. */
const DATA_INSIDE = ["model", "positive", "negative", "questions", "templateVariables"];

test("an option that does not exist is refused by name, by every function and method that has options", async () => {
  const [passed, refused]: [string[], string[]] = [[], []];
  const seen = new Set<string>();
  for (const { name, call, args } of calls) for (const path of plainObjects(args)) {
    const place = `${name} ${path.join(".")}`;
    seen.add(place);
    if (DATA.includes(`${name} ${path[0]}`)) continue;
    const [right] = Object.keys(at(args, path));
    const mistyped = `${right ?? ""}x`;
    const wrong = withKey(args, path, mistyped) as unknown[];
    const error = await Promise.resolve().then(() => call(...wrong)).then(() => undefined, (reason: Error) => reason);
    const isNamed = error?.name === "SteeringError" && error.message.includes(`"${mistyped}"`);
    (isNamed ? refused : passed).push(place);
  }
  expect(passed).toEqual([]);
  expect(DATA.filter((place) => !seen.has(place) && !seen.has(`${place}.0`))).toEqual([]);
  expect(refused.length).toBeGreaterThan(70);
}, 5 * MINUTES);

type Path = readonly (string | number)[];

/** Where plain objects are among arguments: at the top, the first of a list, and inside these. */
function plainObjects(args: readonly unknown[]): Path[] {
  const isPlain = (value: unknown): boolean => value instanceof Object && Object.getPrototypeOf(value) === Object.prototype;
  return args.flatMap((value, index): Path[] => {
    if (Array.isArray(value) && isPlain(value[0])) return [[index, 0]];
    if (!isPlain(value)) return [];
    const inside = Object.entries(value as object).filter(([key, inner]) => isPlain(inner) && !DATA_INSIDE.includes(key));
    return [[index], ...inside.map(([key]) => [index, key])];
  });
}

function at(value: unknown, [key, ...rest]: Path): object {
  const inner = (value as Record<string | number, unknown>)[key!];
  return rest.length === 0 ? inner as object : at(inner, rest);
}

/** The same with one more property in the object at a path. */
function withKey(value: unknown, [key, ...rest]: Path, added: string): unknown {
  if (key === undefined) return { ...value as object, [added]: 1 };
  if (Array.isArray(value)) return value.map((each: unknown, index) => (index === key ? withKey(each, rest, added) : each));
  return { ...value as object, [key]: withKey((value as Record<string, unknown>)[key], rest, added) };
}

describe("a wrong argument", () => {
  const refusal = (message: RegExp | string): object => expect.objectContaining({
    name: "SteeringError", code: "E_BAD_ARGUMENT", message: typeof message === "string" ? message : expect.stringMatching(message),
  }) as object;
  const thrown = (call: () => unknown): unknown => {
    try {
      return call();
    } catch (error) {
      return error;
    }
  };

  test("is named with its function, what was expected and what was found", async () => {
    await expect(loadDataset(5 as never)).rejects.toEqual(refusal(
      "loadDataset(nameOrPath, folder, options): nameOrPath: expected string, received number",
    ));
    expect(thrown(() => results.toPublished({} as never, []))).toEqual(refusal(/^results\.toPublished\(run, records\): run\.format: /));
    await expect(evaluate.perplexity(model, "x", [1, "2"] as never)).rejects.toEqual(refusal(
      /continuation: expected token ids: a list of whole numbers$/,
    ));
    expect(thrown(() => model.chat({ messages: [{ role: "user" }] } as never))).toEqual(refusal(/options\.messages\[0\]\.content: /));
    expect(thrown(() => new SteeringVector("italian.safetensors" as never))).toEqual(refusal(/SteeringVector\.load/));
  });

  test("of an asynchronous function rejects, of another throws", async () => {
    const pending = models.pull(undefined as never); // it would throw here
    await expect(pending).rejects.toEqual(refusal(/models\.pull/));
    expect(thrown(() => experiment.planRuns(undefined as never))).toEqual(refusal(/experiment\.planRuns/));
    expect(thrown(() => model.capture("x" as never, { site: "resid_post", maxNewTokens: 1 }))).toEqual(refusal(/model\.capture/));
    await expect(classifier.classify("x" as never)).rejects.toEqual(refusal(/classifier\.classify/));
  });

  test("may be a path that names no file", async () => {
    for (const path of ["a\0b", "x".repeat(300), "x/".repeat(3000), ""]) {
      await expect(results.write(path, {} as never, [])).rejects.toEqual(refusal(/^results\.write\(folder, run, records\): folder: /));
      await expect(results.read(path)).rejects.toEqual(refusal(/^results\.read/));
    }
  });

  test("is not looked for in errors of the caller's own functions", async () => {
    const mine = new TypeError("mine");
    await expect(loadModel("tiny", { threads: 1, signal: AbortSignal.abort(mine) })).rejects.toMatchObject({
      code: "E_ABORTED", cause: mine,
    });
    await expect(experiment.compare(
      model, ["x"], [{ label: "a", steer: [] }], { maxNewTokens: 1, onAnswer: () => { throw mine; } },
    )).rejects.toBe(mine);
  });
});

test("guarded classes are what they were", () => {
  expect(model).toBeInstanceOf(Object.getPrototypeOf(model).constructor as never);
  expect(SteeringVector.load.name).toBe("load");
  expect(SteeringVector.load).toHaveLength(1);
});
