// How well vectors from words work on a model: the share of held-out questions whose answer has the property (unsteered, asked for by a
// system message, and steered), and what steering costs.
//   node dist/test/bench/words.js MODEL [QUESTIONS [PROPERTY…]]
import { evaluate } from "../../lib/experiments.js";
import { measureKl } from "../../lib/calibrate/index.js";
import { extract, loadDataset, loadModel, prompts, schedule, type SteerInput } from "../../lib/index.js";
import { median } from "../../lib/maths/index.js";
import { scheduleText } from "../../lib/steering/index.js";
import { dynamicSettings, fixedAlphaOf } from "../../lib/vector/index.js";

interface Property {
  towards: string;
  away: string;
  /** The language that counts; without one, the model itself judges by the likelihood of the answer under both descriptions. */
  language?: string;
}
const PROPERTIES: Record<string, Property> = {
  italian: { towards: "always answers in Italian", away: "always answers in English", language: "ita" },
  cheerful: { towards: "speaks like a cheerful friend", away: "is a gloomy pessimist" },
  formal: { towards: "speaks very formally", away: "speaks very casually" },
  concise: { towards: "answers as briefly as possible", away: "gives long-winded answers" },
  pirate: { towards: "talks like a pirate", away: "talks like an ordinary person" },
};
const TOKENS = 30;
const SAMPLES = 3;
const WIDTH = 100;

const [name = "tiny", count = "50", ...only] = process.argv.slice(2);
const model = await loadModel(name, { contextSize: 16_384, maxSequences: 32 });
const questions = (await loadDataset("ITA_test")).rows.slice(0, Number(count)).map(({ input }) => input);
const detector = await evaluate.loadLanguageDetector("eld");

/** One system message; those of the extraction are others. */
const message = (description: string): string => `Act like a person who ${description}.`;

interface Answer {
  question: string;
  text: string;
  tokens: number[];
}

async function answers(steer: SteerInput, system?: string): Promise<Answer[]> {
  return Promise.all(questions.map(async (question) => {
    const prompt = await prompts.tokens(model, question, system === undefined ? {} : { system });
    const { answer, tokens } = await model.generate(prompt, { steer, maxNewTokens: TOKENS, stop: ["Q:"] }).result();
    return { question, text: answer, tokens: tokens.map(({ token }) => token) };
  }));
}

/** Mean log probability of an answer's tokens, in nats, under a system message. */
async function likelihood({ question, tokens }: Answer, system?: string): Promise<number> {
  if (tokens.length === 0) return -Infinity;
  const scores = await model.score(await prompts.tokens(model, question, system === undefined ? {} : { system }), tokens);
  return scores.reduce((sum, score) => sum + score, 0) / scores.length;
}

async function hasProperty(answer: Answer, { towards, away, language }: Property): Promise<boolean> {
  if (language !== undefined) return detector.detect(answer.text).language === language;
  return await likelihood(answer, message(towards)) > await likelihood(answer, message(away));
}

const share = (hits: readonly boolean[]): string => `${Math.round((100 * hits.filter(Boolean).length) / hits.length)} %`;

for (const [key, property] of Object.entries(PROPERTIES)) {
  if (only.length > 0 && !only.includes(key)) continue;
  const begun = performance.now();
  const vector = await extract(model, { towards: property.towards, away: property.away, cache: false });
  const seconds = (performance.now() - begun) / 1000;
  const { calibration, health } = vector.provenance;
  const alpha = fixedAlphaOf(calibration) ?? 1;
  const own = calibration?.schedule ?? schedule.fixed(alpha);
  const [kl] = await measureKl(model, vector, { alphas: [alpha], questions: questions.slice(0, 12) });
  console.log(`\n${name}: ${key}: extracted in ${seconds.toFixed(1)} s; health ${health?.verdict ?? "not measured"}; schedule ${scheduleText(own)}; alpha ${alpha.toPrecision(3)}; `
    + `KL per token: mean ${kl!.mean.toFixed(2)}, 95th percentile ${kl!.p95.toFixed(2)} nats`);
  const conditions: Array<[string, SteerInput, string?]> = [
    ["unsteered", []], ["prompted", [], message(property.towards)], ["calibrated", vector.with(own)],
    ["Fixed", vector.with(schedule.fixed(alpha))], ["Dyn p=0.5", vector.with(schedule.dynamic(dynamicSettings(calibration)))],
  ];
  const results: Array<{ label: string; given: Answer[] }> = [];
  for (const [label, steer, system] of conditions) {
    const given = await answers(steer, system);
    const hits = await Promise.all(given.map((answer) => hasProperty(answer, property)));
    const costs = await Promise.all(given.map((answer) => likelihood(answer)));
    const perplexity = Math.exp(-median(costs.filter(Number.isFinite)).value);
    results.push({ label, given });
    console.log(`${label.padEnd(10)} ${share(hits).padStart(6)}   perplexity of the answers to the unsteered model ${perplexity.toFixed(2)}`);
  }
  for (let i = 0; i < Math.min(SAMPLES, questions.length); i++) {
    console.log(`  ${questions[i]}`);
    for (const { label, given } of results) console.log(`    ${label.padEnd(10)} ${given[i]!.text.replaceAll("\n", " ").slice(0, WIDTH)}`);
  }
}
model.dispose();
