// Right arguments of every public function and method.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type * as experiments from "../../lib/experiments.js";
import type * as root from "../../lib/index.js";
import { api } from "./public-functions.js";
import { aRun, someRecords } from "./runs.js";
import { randomProbe } from "./probes.js";

export interface PublicCall {
  name: string;
  call: (...args: unknown[]) => unknown;
  /** Arguments that are right, made anew: functions may keep them. */
  args: unknown[];
  /** Takes a good part of a second with right arguments. */
  isSlow: boolean;
}

/** Functions that take nothing, or anything. */
export const WITHOUT_ARGUMENTS = ["models.list", "spec.jsonSchema", "evaluate.fluency"];

/** Every call of the library, with a model and files in `folder`, which all paths lie in. */
export async function publicCalls(model: root.Model, classifier: experiments.Classifier, folder: string): Promise<PublicCall[]> {
  const { capture, datasets, evaluate, experiment, models, probe: probes, prompts, results, spec, vectors } = api;
  const tiny = datasets.folder("tiny");
  const [ita, eng] = [await api.loadDataset("ITA", tiny), await api.loadDataset("ENG", tiny)];
  const few = { ...ita, rows: ita.rows.slice(0, 12) };
  const vector = await api.extract(
    model, { positive: ita, negative: eng, support: 2, maxNewTokens: 2, iclExamples: 1, site: "resid_post", strength: false },
  );
  const probe = await randomProbe(model, 1);
  const run = aRun({ nPrompts: 2, shard: { index: 0, count: 1 } });
  const records = [0, 1].flatMap((prompt) => someRecords(run, prompt));
  const at = (name: string): string => join(folder, name);
  await vector.save(at("v.safetensors"));
  await probes.save(at("p.safetensors"), probe);
  await writeFile(at("rows.json"), JSON.stringify(few.rows));
  await writeFile(at("alpaca.json"), JSON.stringify([{ instruction: "q", output: "a" }]));
  await writeFile(at("safe.json"), JSON.stringify([{ prompt: "q", response: "a", is_safe: true }]));
  const choices = [{ question: "why?", right: "yes", wrong: ["no"] }];
  const sides = { positive: { dataset: few, label: "ita" }, negative: { dataset: few, label: "eng" } };
  await writeFile(at("rubric.json"), JSON.stringify(api.evaluate.rubric("formality")));
  await writeFile(at("choices.json"), JSON.stringify(choices));
  await writeFile(at("lines"), "one\ntwo\n");
  await results.write(at("run"), run, records);
  const aPacked = {
    vector: at("v.safetensors"), name: "x", modelName: "m", schedule: { kind: "fixed", alpha: 1 }, description: "d", licence: "l",
    sample: { question: "q", unsteered: "a", steered: "b" },
  };
  await api.gallery.pack(at("gallery"), [aPacked as root.PackedVector]);
  const evaluator = await evaluate.language({ wanted: "ita" });
  await evaluate.run(at("run"), [evaluator]);
  const read = await results.read(at("run"));
  const published = results.toPublished(read.run, read.records);
  await writeFile(at("published.json"), JSON.stringify(published));
  const plan = await experiment.loadPlan("tiny");
  const tokens = model.tokenise("hello");
  const generated = await model.generate("hello", { maxNewTokens: 2, steer: [{ vector, schedule: { kind: "fixed", alpha: 1 } }] }).result();
  const fingerprint = await model.fingerprint();
  const steer = (): object[] => [
    {
      vector, schedule: { kind: "fixed", alpha: 1 }, layers: [1], heads: "all", tail: "mean", phases: ["answer"], only: { from: 0, to: 5 },
      gate: { probe, above: 0.5, until: 0.3, per: "token", shape: "hard" },
    },
  ];
  const signal = new AbortController().signal;
  const asking = { format: "qa", system: "s", templateVariables: { x: 1 } };
  const onProgress = (): void => undefined;
  const settings = { site: "resid_post", layers: [0], maxNewTokens: 2, signal, onProgress };
  const translator: experiments.TextTranslator = { name: "none", translate: async (texts) => [...texts], dispose: () => undefined };
  const group = { demonstrations: few.rows.slice(0, 1), query: few.rows[1] };
  const judged = read.evaluations;
  const answers = await experiment.compare(model, ["hello"], [{ label: "x", steer: [] }], { maxNewTokens: 1 });
  const single = {
    positive: "ITA", negative: "ENG", support: 1, seed: 1, maxNewTokens: 1, iclExamples: 1, evaluationSize: 1, strategies: ["fixed"],
    alphas: [1], topP: [0.5], layers: [0], evalDataset: "ITA_test", klReduction: "mean", promptFormat: "clean", evaluateOn: "groups",
    site: "head_out", heads: "all",
  };
  const place = {
    out: at("single"), datasets: tiny, parallel: 1, shard: { index: 0, count: 1 }, signal, onNotice: onProgress,
  };
  const oneRun = { ...place, modelName: "tiny", onProgress, onExtraction: onProgress };
  const importing = { name: "v.gguf", model: fingerprint, dHead: model.info.dHead, property: "p", onNotice: onProgress };
  const classified = { signal };

  const fast: Record<string, unknown[]> = {
    compose: [steer(), vector.with({ kind: "fixed", alpha: 1 })], replay: [steer(), generated], fromLlama: [{ gpu: false, maxThreads: 2 }],
    loadSteering: [[{ vector: at("v.safetensors"), schedule: { kind: "fixed", alpha: 1 }, layers: [0] }]],
    loadProbe: [at("p.safetensors")], loadDataset: [at("rows.json"), tiny, { signal }],
    "schedule.fixed": [1], "schedule.start": [1], "schedule.diminishing": [1], "schedule.window": [1, { from: 0, to: 2 }],
    "schedule.budget": [1, { alphaMax: 2, per: "token" }],
    "schedule.dynamic": [{ topP: 0.5, alphaMax: 2, strongAlpha: 2, klReduction: "mean" }], "schedule.recorded": [[1, 2]],
    "schedule.custom": [() => 1],
    "capture.readableLayers": [model, "resid_post"],
    "datasets.folder": ["tiny"], "datasets.importAlpaca": [at("alpaca.json"), { limit: 5, maxLength: 100, signal }],
    "datasets.importBeaverTails": [at("safe.json"), { safe: true, limit: 5, seed: 1, signal }],
    "datasets.importColumns": [at("rows.json"), { input: "input", output: "output" }, { limit: 2, signal }],
    "datasets.importPairs": [at("lines"), at("lines"), { limit: 2, signal }], "datasets.load": ["ITA", tiny, { signal }],
    "datasets.names": [tiny], "datasets.save": [at("datasets"), few],
    "evaluate.detectLanguage": ["ciao a tutti quanti", ["ita", "eng"]], "evaluate.formality": [classifier, { wanted: "formal", sure: 0.8 }],
    "evaluate.language": [{ wanted: "ita", detector: "eld", candidates: ["ita", "eng"] }],
    "evaluate.languageName": ["ita"], "evaluate.languageOfDataset": ["ITA"], "evaluate.loadLanguageDetector": ["eld"],
    "evaluate.nllbTranslator": [{ model: "m", from: "ita", pipeline: async () => async () => [] }],
    "evaluate.openTranslator": ["none", { signal }],
    "evaluate.parseLanguage": ["it"], "evaluate.perplexity": [model, "hello", tokens, { steer: steer(), allowMismatch: false, signal }],
    "evaluate.perplexityOfAnswers": [model, asking], "evaluate.probe": [model, probe, { wanted: "positive", property: "p" }],
    "evaluate.repetition": ["a b c"], "evaluate.brevity": [12], "evaluate.codeSwitching": [{ wanted: "it", candidates: ["it", "en"] }],
    "evaluate.rubric": ["language", "ita"], "evaluate.loadRubric": [at("rubric.json")], "evaluate.loadChoices": [at("choices.json")],
    "evaluate.knowledgeChange": [{ correct: [true] }, { correct: [false] }], "evaluate.goldAgreement": [evaluator, sides, { n: 1, signal }],
    "evaluate.run": [at("run"), [evaluator], { again: true, signal, onProgress }], "evaluate.translated": [evaluator, translator, ["eng"]],
    "evaluate.withFoundAlphas": [steer(), generated],
    "experiment.loadPlan": ["tiny", { signal }], "experiment.planRuns": [plan], "experiment.summarise": [answers, "ita"],
    "gallery.read": [at("gallery"), signal], "gallery.pull": ["x", { gallery: at("gallery"), signal, onProgress }],
    "gallery.pack": [at("gallery2"), [aPacked]],
    "models.find": ["tiny"], "models.isInstalled": [models.find("tiny")], "models.path": [models.find("tiny")],
    "models.pull": [models.find("tiny"), { force: false, signal, onProgress, stallMs: 100 }],
    "models.resolve": ["tiny", { pull: { signal } }],
    "probe.load": [at("p.safetensors")], "probe.logit": [probe, probe.weights], "probe.save": [at("q.safetensors"), probe],
    "prompts.chatTokens": [model, [{ role: "user", content: "hello" }], { templateVariables: { x: 1 }, mayCut: false }],
    "prompts.groups": [few, 1], "prompts.icl": ["Answer.", group], "prompts.iclTokens": [model, "Answer.", group, "clean"],
    "prompts.question": ["why?"], "prompts.tokens": [model, "why?", { format: "qa", system: "Be brief.", templateVariables: { x: 1 } }],
    "prompts.questionTokens": [model, "why?", "clean"],
    "results.below": [at("run")], "results.fromPublished": [published, at("published.json")], "results.hitMeasure": [judged],
    "results.jointHit": [judged, 0], "results.judgeAgreement": [judged], "results.interference": [read],
    "results.outcomes": [read], "results.outcomeMean": [read, { name: "x", measure: () => 1 }, "icl"],
    "results.merge": [at("merged"), [at("run")], { signal }],
    "results.planMerge": [at("merged2"), [at("run")], { signal }],
    "results.pairedDifferences": [read, "icl", () => 1], "results.read": [at("run"), { signal }],
    "results.readPublished": [at("published.json"), { signal }], "results.summarise": [read],
    "results.toPublished": [read.run, read.records],
    "results.withColumns": [read.records, judged], "results.write": [at("run2"), read.run, read.records],
    "spec.parse": ["v.safetensors:fixed,1"], "spec.parseIndices": ["1-3"], "spec.parseSchedule": [{ kind: "fixed", alpha: 1 }],
    "vectors.assertMadeFor": [vector, fingerprint, false, "vector"],
    "vectors.exportControlVector": [vector.pooled().select({ layers: [1] }), 1], "vectors.exportPublished": [vector, "npy"],
    "vectors.importControlVector": [vectors.exportControlVector(vector.pooled().select({ layers: [1] })), importing],
    "vectors.importPublished": [Buffer.from("\x93NUMPY"), { ...importing, name: "v.npy" }],
    "SteeringVector.load": [at("v.safetensors")], "SteeringVector.sum": [[{ vector, factor: 2 }]],
    "SteeringVector.mean": [[vector, vector]],
  };
  const slow: Record<string, unknown[]> = {
    extract: [
      model,
      {
        positive: few, negative: { ...eng, rows: eng.rows.slice(0, 12) }, support: 1, maxNewTokens: 1, iclExamples: 1, seed: 1,
        site: "resid_post", layers: [0], method: "icl", promptFormat: "clean", strength: false, ...asking, signal, onProgress,
      },
    ],
    calibrateByKl: [
      model,
      {
        vector, questions: few, budget: 0.5, budgetOf: "p95", n: 1, maxNewTokens: 1, format: "qa", system: "Be brief.",
        templateVariables: { x: 1 }, signal,
        onProgress,
      },
    ],
    measureKl: [
      model, vector,
      {
        alphas: [1], questions: ["why?"], maxNewTokens: 1, selection: { layers: [0] }, format: "qa", system: "Be brief.",
        templateVariables: { x: 1 }, signal, onProgress,
      },
    ],
    calibrate: [
      model,
      {
        vector, questions: { ...few, rows: few.rows.slice(0, 4) }, evaluators: [evaluator], wanted: 0.5, kind: "fixed", candidates: [1],
        cost: "demonstrations", prompted: "Be brief.", n: 1, iclExamples: 1, maxNewTokens: 1, ...asking, signal, onProgress,
      },
    ],
    loadModel: [
      "tiny",
      {
        backend: "cpu", gpuLayers: 0, mmap: true, threads: 1, flashAttention: true, kvType: "f16", contextSize: 512, maxSequences: 4,
        maxGenerations: 2, vet: true, logger: onProgress, signal, steeringPath: "auto",
        ropeScaling: { kind: "yarn", factor: 2, originalContext: 512 }, rpc: [],
      },
    ], loadClassifier: ["tiny-formality", { threads: 1, signal }],
    loadEmbedder: ["tiny-formality", { threads: 1, signal }], loadTranslator: [at("lines"), { threads: 1, signal }],
    "capture.activations": [model, [tokens], settings], "capture.means": [model, [{ tokens, weight: 1 }], settings],
    "capture.texts": [
      model, [{ prompt: tokens, answer: tokens }], { site: "resid_post", layers: [0], pooling: "step", maxSteps: 2, signal, onProgress },
    ],
    "capture.save": [
      at("a.safetensors"), capture.activations(model, [tokens], { site: "resid_post", maxNewTokens: 1 }),
      { site: "resid_post", nPrompts: 1, model: fingerprint },
    ],
    "evaluate.judge": [model, evaluate.rubric("formality"), { wanted: "formal", against: "no-icl", leastMass: 0, templateVariables: {} }],
    "evaluate.quality": [model, { concept: "is brief", leastMass: 0, templateVariables: {} }],
    "evaluate.Judge.of": [model, { leastMass: 0, templateVariables: {} }],
    "evaluate.kept": [model, { against: "icl", layer: 0, datasets: tiny, signal }],
    "evaluate.knowledge": [model, { questions: choices, steer: steer(), ...asking, signal, onProgress }],
    "evaluate.guard": [model, { wanted: "safe", forms: evaluate.GUARD_FORMS, controversial: "safe" }],
    "evaluate.Guard.of": [model, evaluate.GUARD_FORMS],
    "evaluate.deltaPerplexity": [model, { noIcl: "hello", icl: "hello", iclOutput: tokens }, { steer: steer() }],
    "evaluate.ggufTranslator": [at("lines"), { threads: 1, signal }],
    "experiment.checkPlan": [{ ...plan, single: plan.single.slice(0, 1), compose: [] }, tiny, { signal }],
    "experiment.compare": [
      model, ["hello"], [{ label: "x", steer: steer(), prompted: "s" }], { maxNewTokens: 1, ...asking, signal, onAnswer: onProgress },
    ], "experiment.single": [model, single, { ...oneRun, skipEval: false }],
    "experiment.compose": [
      model, { vectors: [at("v.safetensors"), at("v.safetensors")], source: "ITA", composed: "ITA" }, { ...oneRun, out: at("compose") },
    ], "experiment.plan": [{ ...plan, single: [], compose: [] }, { ...place, out: at("plan"), load: async () => model, runs: [] }],
    writeReport: [[at("run")], { out: at("report"), title: "t", reference: "icl", samples: 1, signal, onProgress }],
    "probe.read": [model, probe, [{ question: "q", text: "hello" }], { allowMismatch: false, ...asking, signal, onProgress }],
    "probe.train": [
      model,
      { positive: few, negative: few, site: "resid_post", layers: [0], folds: 2, lambdas: [1], seed: 1, ...asking, signal, onProgress },
    ],
  };
  const options = {
    maxNewTokens: 2, steer: steer(), stop: ["x"],
    sampling: { temperature: 1, topK: 5, topP: 0.9, seed: 1, dryMultiplier: 1, jsonSchema: { type: "array" } }, logProbabilities: true,
    monitor: [probe], allowMismatch: false, signal, candidates: 2, firstTokens: [],
  };
  const methods: Array<[name: string, call: (...args: never[]) => unknown, args: unknown[]]> = [
    ["model.generate", (...args: [never]) => model.generate(...args).text(), ["hello", options]],
    ["model.score", (...args: [never, never]) => model.score(...args), ["hello", " you", { steer: steer(), signal }]],
    ["model.capture", (...args: [never, never]) => drain(model.capture(...args)), [["hello"], settings]],
    [
      "model.chat", (...args: [never]) => model.chat(...args),
      [
        {
          messages: [{ role: "system", content: "x" }], ...options, templateVariables: { x: 1 }, history: "clean", keepThoughts: false,
          keepPartial: false,
        },
      ],
    ],
    [
      "chat.say", (...args: [never]) => model.chat({ maxNewTokens: 1 }).say(...args).text(),
      ["hello", { ...options, templateVariables: { x: 1 } }],
    ], [
      "chat.retry", (...args: [never]) => model.chat({ messages: [{ role: "user", content: "hello" }] }).retry(...args).text(), [options],
    ], ["chat.setSystem", (...args: [never]) => model.chat().setSystem(...args), ["Be brief."]],
    ["chat.reply", (...args: [never]) => model.chat({ messages: [{ role: "user", content: "hello" }] }).reply(...args).text(), [options]],
    ["model.tokenise", (...args: [never]) => model.tokenise(...args), ["hello", { special: true, bos: false }]],
    ["model.detokenise", (...args: [never]) => model.detokenise(...args), [tokens]],
    ["model.hasSite", (...args: [never]) => model.hasSite(...args), ["resid_post"]],
    ["model.siteLayers", (...args: [never]) => model.siteLayers(...args), ["resid_post", { everyRow: true }]],
    ["model.siteWidth", (...args: [never]) => model.siteWidth(...args), ["resid_post"]],
    ["model.isEndOfGeneration", (...args: [never]) => model.isEndOfGeneration(...args), [1]],
    [
      "stream.add",
      async (...args: [never]) => { await using stream = model.generate("hello", { maxNewTokens: 2 }); return await stream.add(...args); },
      steer(),
    ],
    [
      "stream.steering[0].schedule =",
      (value: never) => { model.generate("hello", { steer: steer() as never }).steering[0]!.schedule = value; },
      [{ kind: "fixed", alpha: 1 }],
    ],
    ["classifier.classify", (...args: [never]) => classifier.classify(...args), [["hello"], classified]],
    ["evaluator.evaluate", (...args: [never]) => evaluator.evaluate(...args), [[{ question: "q", text: "ciao a tutti quanti" }], signal]],
    ...[process.env, new Proxy(process.env, {})].map(
      (env) => ["models.homeFolder", (...args: [never]) => models.homeFolder(...args), [env]] as [string, PublicCall["call"], unknown[]],
    ),
    [
      "detector.detect", async (...args: [never]) => (await evaluate.loadLanguageDetector("eld")).detect(...args),
      ["ciao a tutti quanti", ["ita", "eng"]],
    ],
    ["new SteeringVector", (...args: [never]) => new api.SteeringVector(...args), [{ ...vector }, "path"]],
    ["vector.save", (...args: [never]) => vector.save(...args), [at("w.safetensors")]],
    ["vector.add", (...args: [never]) => vector.add(...args), [vector]],
    ["vector.subtract", (...args: [never]) => vector.subtract(...args), [vector.scale(2)]],
    ["vector.scale", (...args: [never]) => vector.scale(...args), [2]],
    ["vector.projectOut", (...args: [never]) => vector.projectOut(...args), [vector.scale(2)]],
    ["vector.select", (...args: [never]) => vector.select(...args), [{ layers: [0], heads: "all" }]],
    ["vector.with", (...args: [never]) => vector.with(...args), [{ kind: "fixed", alpha: 1 }, { layers: [0], tail: "mean" }]],
    ["vector.cosine", (...args: [never]) => vector.cosine(...args), [vector]],
  ];
  const named = (calls: Record<string, unknown[]>, isSlow: boolean): PublicCall[] => Object.entries(calls).map(
    ([name, args]) => ({ name, args, isSlow, call: callOf(name) }),
  );
  void [spec, prompts];
  return [
    ...named(fast, false), ...named(slow, true),
    ...methods.map(
      ([name, call, args]) => ({ name, call: call as PublicCall["call"], args, isSlow: /generate|score|capture|say|reply|add/.test(name) }),
    ),
  ];
}

/** The function of the library by its name, e.g. `datasets.load`; what it yields is read to its end. */
function callOf(name: string): PublicCall["call"] {
  const path = name.split(".");
  const owner = path.slice(0, -1).reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], api);
  const call = (owner as Record<string, (...args: unknown[]) => unknown>)[path.at(-1)!]!;
  return (...args) => {
    const result = call.apply(owner, args);
    return typeof result === "object" && result !== null && Symbol.asyncIterator in result
      ? drain(result as AsyncIterable<unknown>)
      : result;
  };
}

async function drain(values: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of values);
}
