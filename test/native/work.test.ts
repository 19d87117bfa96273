import { afterAll, expect, test } from "@jest/globals";
import { captureMeans } from "../../lib/capture/index.js";
import { generateText, type GenerateOptions } from "../../lib/generate/index.js";
import type { Gate, Schedule, Selection, Steering } from "../../lib/index.js";
import type { NativeWork } from "../../lib/native/index.js";
import { letters, loadChatting } from "../support/chats.js";
import { tinyForFile } from "../support/file-model.js";
import { randomProbe } from "../support/probes.js";
import { ON_DEVICE, randomVector } from "../support/tiny-files.js";
import { workOf } from "../support/work.js";

// The work of one token in every mode, in exact numbers: what a token costs cannot grow unnoticed. Only what llama.cpp's graph holds
// changes with its version (NODES).

const { space, model } = await tinyForFile();
const chatting = await loadChatting(space, "llama");
afterAll(() => chatting.dispose());

const N_TOKENS = 8;
const vectors = await Promise.all([1, 2, 3].map((seed) => randomVector(model, seed, { nSteps: 2 * N_TOKENS, scale: 2 })));
const inGraph = await randomVector(model, 1, { site: "attn_out", nSteps: 2 * N_TOKENS });
const PROMPT = [1, 5, 9, 20];
/** Every token is the same letter: one byte, which no guess misses. */
const sampling = { logitBias: { [3 + 97]: 1000 } };

const { nLayer, nEmbd, nVocab } = model.info;
const WIDTH = model.siteWidth("head_out");
/** Nodes of a decode's graph, and those that the steering slots add: after W_O two products, their scale and the sum. */
const NODES = 114;
const SLOTS = 4 * nLayer;
/** Bytes of a row: token, position, sequence and whether it has logits; of a term: vector, row, step and alpha; of a KL: two rows, three
 * settings and how to reduce. */
const [ROW, TERM, KL] = [13, 16, 33];
/** Bytes of a sample: row, target and whether it settles; of a guess: its row. */
const [SAMPLE, GUESS] = [9, 4];
/** Bytes of results: token, log probability, whether it ends, the piece and its end; KL and alpha; a guess. */
const [SAMPLED, MEASURED, GUESSED] = [18, 16, 4];

/** Two waits: for the decode, and llama.cpp's own before it shows the logits. */
const UNSTEERED: NativeWork = {
  calls: 1, argumentBytes: ROW + SAMPLE, resultBytes: SAMPLED, decodes: 1, rows: 1, outputs: 1, nodes: NODES, stops: 0, synchronises: 2,
  logitBytes: 4 * nVocab, activationBytes: 0, vectorBytes: 0,
};

/** `n` generations at once in one decode: everything of a row n times, and each call and wait once. */
function together(n: number, { argumentBytes, resultBytes, rows, outputs, logitBytes, vectorBytes, ...once }: NativeWork): NativeWork {
  return {
    ...once, argumentBytes: n * argumentBytes, resultBytes: n * resultBytes, rows: n * rows, outputs: n * outputs,
    logitBytes: n * logitBytes, vectorBytes: n * vectorBytes,
  };
}

/** One row of the vectors' sum per layer, however many vectors there are; each is a term. */
function steered(nVectors: number): NativeWork {
  return {
    ...UNSTEERED, nodes: NODES + SLOTS, argumentBytes: UNSTEERED.argumentBytes + nVectors * TERM, vectorBytes: 4 * nEmbd * nLayer,
  };
}

/**
 * Dyn with `n` properties: rows P and n S, then the output row, steered by n vectors. In the plain order that takes two decodes; where
 * every guess is right, one with rows of two steps. The graph path writes all rows of a decode, those that nothing steers as zeros.
 */
function dynamic(n: number, isGuessed: boolean): NativeWork {
  const rows = n + 2;
  const decodes = isGuessed ? 1 : 2;
  return {
    calls: decodes, decodes, nodes: decodes * (NODES + SLOTS), stops: 0, synchronises: 2 * decodes, rows, outputs: rows,
    argumentBytes: rows * ROW + 2 * n * TERM + n * KL + SAMPLE + (isGuessed ? GUESS : 0),
    resultBytes: SAMPLED + n * MEASURED + (isGuessed ? GUESSED : 0),
    logitBytes: rows * 4 * nVocab, activationBytes: 0, vectorBytes: rows * 4 * nEmbd * nLayer,
  };
}

/** Reads the row at each layer, where the graph stops; returns nothing until the end. */
const CAPTURED: NativeWork = {
  ...UNSTEERED, stops: nLayer, activationBytes: 4 * WIDTH * nLayer, argumentBytes: UNSTEERED.argumentBytes + 20,
  resultBytes: SAMPLED + nLayer * WIDTH * 8 + 8, nodes: NODES + SLOTS,
};

/**
 * With a gate, one stop to read the row; its arguments are row, gate and whether it was open, and per term which gate; its results are
 * probability and value.
 */
const GATED: NativeWork = {
  ...steered(1), stops: 1, activationBytes: 4 * WIDTH, argumentBytes: steered(1).argumentBytes + 9 + 4, resultBytes: SAMPLED + 12,
};

/**
 * An operator other than add, or a kept norm: the row is read and written at every layer, where the graph stops, and its term says which.
 */
const OPERATED: NativeWork = {
  ...UNSTEERED, nodes: NODES + SLOTS, argumentBytes: UNSTEERED.argumentBytes + TERM + 1, stops: nLayer,
  activationBytes: 2 * 4 * WIDTH * nLayer,
};

/** At attn_out a node of the graph does it, without a stop. */
const OPERATED_IN_GRAPH: NativeWork = { ...steered(1), argumentBytes: UNSTEERED.argumentBytes + TERM + 1 };

/**
 * `n` budgets: the row without their vectors, and those that try alphas, in one decode: two for one budget; for two a row for each, and
 * one for both; another for each further one, beside all before it. A choice is a baseline, its candidates, their end and the limit; its
 * results are what it chose, the row in the end, and a KL per candidate. Two calls, which move no data, give each of the other sequences
 * the chosen row's cell.
 */
function budgets(n: number, rows: number, choices: number): NativeWork {
  return {
    ...UNSTEERED, calls: 1 + (rows - 1) * 2, nodes: NODES + SLOTS, rows, outputs: rows,
    argumentBytes: rows * (ROW + n * TERM) + SAMPLE + choices * (4 + 4 + 8) + (rows - 1) * 4,
    resultBytes: SAMPLED + choices * (4 + 4) + (rows - 1) * 8, logitBytes: rows * 4 * nVocab, vectorBytes: rows * 4 * nEmbd * nLayer,
  };
}

const fixed: Schedule = { kind: "fixed", alpha: 1 };
const gate: Gate = { probe: await randomProbe(model, 1, { layer: 0 }), above: 0 };
const steer = (n: number, schedule: Schedule, first = 0): Steering[] =>
  vectors.slice(first, first + n).map((vector) => ({ vector, schedule }));

/** Generates with each of the options, at once. */
function generating(...options: GenerateOptions[]): (nTokens: number) => Promise<void> {
  return async (maxNewTokens) => {
    const all = await Promise.all(options.map((each) => generateText(model, PROMPT, { sampling, maxNewTokens, ...each })));
    for (const { tokens } of all) expect(tokens).toHaveLength(maxNewTokens);
  };
}

const dyn = { kind: "dynamic", topP: 0.9, klReduction: "sum" } as Schedule;

const MODES: Array<[string, NativeWork, (nTokens: number) => Promise<unknown>]> = [
  ["unsteered", UNSTEERED, generating({})],
  ["log probabilities", UNSTEERED, generating({ logProbabilities: true })],
  ["8 unsteered at once", { ...together(8, UNSTEERED) }, generating(...Array<GenerateOptions>(8).fill({}))],
  ["Fixed", steered(1), generating({ steer: steer(1, fixed) })],
  ["Fixed, three vectors", steered(3), generating({ steer: steer(3, fixed) })],
  ["three at once, a vector each", together(3, steered(1)), generating(...[0, 1, 2].map((i) => ({ steer: steer(1, fixed, i) })))],
  ["Fixed, gated", GATED, generating({ steer: steer(1, fixed).map((each) => ({ ...each, gate })) })],
  ["three at once, a gate each", {
    ...together(3, GATED), stops: 1, activationBytes: 3 * GATED.activationBytes,
  }, generating(...[0, 1, 2].map((i) => ({ steer: steer(1, fixed, i).map((each) => ({ ...each, gate })) })))],
  ["Dim", steered(1), generating({ steer: steer(1, { kind: "diminishing", alpha: 1 }) })],
  ...[1, 2, 3].flatMap((n): typeof MODES => [
    [`Dyn, ${n} properties`, dynamic(n, false), generating({ steer: steer(n, dyn), pipeline: "off" })],
    [`Dyn, ${n} properties, guessed`, dynamic(n, true), generating({ steer: steer(n, dyn), pipeline: "on" })],
  ]),
  ["ablation", OPERATED, generating({ steer: steer(1, fixed).map((each) => ({ ...each, operator: "ablate" })) })],
  ["a kept norm", OPERATED, generating({ steer: steer(1, fixed).map((each) => ({ ...each, keepNorm: true })) })],
  ["ablation in the graph", OPERATED_IN_GRAPH, generating({ steer: { vector: inGraph, schedule: fixed, operator: "ablate" } })],
  ...([[1, 3, 1], [2, 4, 3], [3, 5, 4]] as const).map(([n, rows, choices]): (typeof MODES)[number] => [
    `${n} budgets`, budgets(n, rows, choices), generating({ steer: steer(n, { kind: "budget", nats: 0.1, alphaMax: 2, per: "token" }) }),
  ]),
  ["capture", CAPTURED, (maxNewTokens) => captureMeans(model, [{ tokens: PROMPT, weight: 1 }], { site: "head_out", maxNewTokens })],
  ["a turn of a chat", UNSTEERED, (nTokens) => chatting.chat(letters(chatting, nTokens)).say("Hi").result()],
];

// On a device, layers are in several graphs, and a slot's nodes are there from the start.
(ON_DEVICE ? test.skip : test).each(MODES)("%s", async (_, expected, work) => {
  await work(1); // creates the context, uploads the vectors
  const few = await workOf(() => work(N_TOKENS));
  const many = await workOf(() => work(2 * N_TOKENS));
  const kinds = Object.keys(many) as Array<keyof NativeWork>;
  expect(Object.fromEntries(kinds.map((kind) => [kind, (many[kind] - few[kind]) / N_TOKENS]))).toEqual(expected);
});

test("a vector is copied once for each selection, and again after its values have changed", async () => {
  const vector = { ...vectors[0]!, data: vectors[0]!.data.slice() };
  const copied = async (selection: Selection = {}): Promise<number> =>
    (await workOf(async () => { model.vectorHandle(vector, selection); })).argumentBytes;
  const whole = vector.data.byteLength + 4 * nLayer; // with its layers' indices
  expect([await copied(), await copied(), await copied({ layers: [1] }), await copied({ layers: [1] })]).toEqual([
    whole, 0, whole / nLayer, 0,
  ]);
  for (const index of [0, 1, 7, vector.data.length - 1]) {
    vector.data[index]! += 1;
    expect([await copied({ heads: [0] }), await copied({ heads: [0] })]).toEqual([whole, 0]);
  }
});
