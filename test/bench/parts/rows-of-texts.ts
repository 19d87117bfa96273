import { evaluate } from "../../../lib/experiments.js";
import { captureMeans } from "../../../lib/capture/index.js";
import { Batch, type Context } from "../../../lib/engine/index.js";
import type { SteerInput } from "../../../lib/index.js";
import { spread, type Measured } from "./rounds.js";
import type { Row } from "./rows.js";
import { DYNAMIC, FIXED, type Subject } from "./subject.js";

const PREFILL = 512;
const N_ANSWERS = 8;
/** Tokens generated after each prompt of an extraction. */
const EXTRACTED = 4;
const KL_PAIRS = 8;

/** Prompts, extraction and the evaluation of answers. */
export function textRows(): Row[] {
  return [...promptRows(), ...evaluationRows()];
}

function promptRows(): Row[] {
  const base = { group: "prompts", sequences: 16 };
  return [
    {
      ...base, name: "prefill-plain", label: `a prompt of ${PREFILL} tokens, plain loop`, unit: "tokens/s", against: [],
      measure: async ({ plain }) => ({ seconds: (await plain.prefill(PREFILL)).seconds / PREFILL }),
    },
    {
      ...base, name: "prefill", label: `a prompt of ${PREFILL} tokens`, unit: "tokens/s", against: ["prefill-plain"],
      bars: { "prefill-plain": 0.97 }, measure: (subject) => perUnit(PREFILL, () => firstToken(subject, anyTokens(subject))),
    },
    {
      ...base, name: "first-token-plain", label: "first token of a short question, plain loop", unit: "ms", against: [],
      measure: (subject, round) => perUnit(1, () => subject.plain.decode(1, 1, subject.promptOf(round))),
    },
    {
      ...base, name: "first-token", label: "first token of a short question", unit: "ms", against: ["first-token-plain"],
      measure: (subject, round) => perUnit(1, () => firstToken(subject, subject.promptOf(round))),
    },
    {
      ...base, name: "first-token-dyn", label: "first token of a short question, Dyn", unit: "ms", against: ["first-token"], vectors: 1,
      measure: (subject, round) => perUnit(1, () => firstToken(subject, subject.promptOf(round), [
        { vector: subject.vectors[0]!, schedule: DYNAMIC },
      ])),
    },
    {
      ...base, name: "extraction-plain", label: "the prompts of an extraction, nothing captured", unit: "rows/s", against: [],
      measure: (subject) => extraction(subject, async (prompts) => {
        await Promise.all(prompts.map((prompt) => subject.model.generate(prompt, { maxNewTokens: EXTRACTED }).result()));
      }),
    },
    {
      ...base, name: "extraction", label: "the prompts of an extraction, captured", unit: "rows/s", against: ["extraction-plain"],
      bars: { "extraction-plain": 0.9 },
      measure: (subject) => extraction(subject, async (prompts) => {
        const weighted = prompts.map((tokens) => ({ tokens, weight: 1 }));
        await captureMeans(subject.model, weighted, { site: "head_out", maxNewTokens: EXTRACTED });
      }),
    },
  ];
}

function evaluationRows(): Row[] {
  const base = { group: "evaluation", sequences: 16 };
  return [
    {
      ...base, name: "score-plain", label: "the rows of perplexity as a prompt, plain loop", unit: "tokens/s", against: [],
      measure: async ({ plain, texts }) => {
        const judged = texts.slice(0, N_ANSWERS);
        const rows = judged.reduce((sum, { prompt, answer }) => sum + prompt.length + answer.length, 0);
        return { seconds: (await plain.prefill(rows)).seconds / nTokens(judged) };
      },
    },
    ...([["score", "perplexity of answers"], ["score-fixed", "perplexity of answers, Fixed"]] as const).map(([name, label]): Row => ({
      ...base, name, label, unit: "tokens/s", against: ["score-plain"], vectors: name === "score" ? 0 : 1,
      measure: ({ model, texts, vectors }) => {
        const judged = texts.slice(0, N_ANSWERS);
        const steer = name === "score" ? [] : [{ vector: vectors[0]!, schedule: FIXED }];
        return perUnit(nTokens(judged), () => Promise.all(judged.map(({ prompt, answer }) => model.score(prompt, answer, { steer }))));
      },
    })),
    ...evaluate.LANGUAGE_DETECTORS.map((detector): Row => ({
      ...base, name: `language-${detector}`, label: `language of answers, ${detector}`, unit: "texts/s", against: [],
      measure: async ({ texts }) => {
        const loaded = await evaluate.loadLanguageDetector(detector);
        return perUnit(texts.length, async () => texts.map(({ text }) => loaded.detect(text)));
      },
    })),
    { ...base, name: "kl", label: "KL and alpha of one pair of rows", unit: "ms", against: [], measure: klOfPair },
  ];
}

async function perUnit(units: number, work: () => Promise<unknown>): Promise<Measured> {
  const begun = performance.now();
  await work();
  return { seconds: (performance.now() - begun) / 1000 / units };
}

async function firstToken({ model }: Subject, prompt: readonly number[], steer: SteerInput = []): Promise<void> {
  await model.generate(prompt, { maxNewTokens: 1, steer }).result();
}

/** The tokens of the plain loop's prompts: any text will do. */
function anyTokens({ plain }: Subject): number[] {
  return Array.from({ length: PREFILL }, (_, i) => (i * 31 + 7) % plain.context.nVocab);
}

const nTokens = (texts: Subject["texts"]): number => texts.reduce((sum, { answer }) => sum + answer.length, 0);

/** Prompts as long as those of an extraction, and the first tokens of their answers. */
async function extraction({ texts, plain }: Subject, compute: (prompts: number[][]) => Promise<void>): Promise<Measured> {
  const prompts = [0, 6, 12, 18].map((from) => texts.slice(from, from + 6).flatMap(({ prompt, answer }) => [...prompt, ...answer]));
  const cut = prompts.map((prompt) => prompt.slice(0, plain.context.nBatch / 2));
  return perUnit(cut.reduce((sum, { length }) => sum + length + EXTRACTED, 0), () => compute(cut));
}

/** What a KL adds to a decode: pairs of rows with it and without, alternating. */
async function klOfPair({ model, prompt }: Subject): Promise<Measured> {
  using context = await model.createContext({ nCtx: 512, nSeqMax: 2 * KL_PAIRS });
  const added: number[] = [];
  for (let i = 0; i < 6; i++) {
    const without = await decodePairs(context, prompt, false);
    added.push((await decodePairs(context, prompt, true) - without) / KL_PAIRS);
  }
  return { seconds: Math.max(1e-9, spread(added).median) };
}

async function decodePairs(context: Context, prompt: readonly number[], measures: boolean): Promise<number> {
  context.kvClear();
  const batch = new Batch();
  for (let row = 0; row < 2 * KL_PAIRS; row++) batch.add(prompt[row % prompt.length]!, 0, row, { output: true });
  for (let pair = 0; measures && pair < 2 * KL_PAIRS; pair += 2) {
    batch.measure({ baseline: pair, strong: pair + 1, topP: 0.5, alphaMax: 2, klReduction: "mean" });
  }
  const begun = performance.now();
  await context.decode(batch);
  return (performance.now() - begun) / 1000;
}
