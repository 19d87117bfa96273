import type { RunData } from "../data.js";
import type { RunVector } from "../norms.js";
import { groupOf, vectorNames } from "../strategy.js";
import { tokenPieces, type TokenPiece, type Vocabulary } from "../token-texts.js";
import type { Figure } from "./chart.js";
import { matricesFigure } from "./matrices.js";
import { normsFigure } from "./norms.js";
import { outcomesFigure } from "./outcomes.js";
import { stepsFigure } from "./steps.js";
import { tokensFigure, type TokenSample } from "./tokens.js";
import { tradeOffFigure } from "./trade-off.js";

export interface FigureOptions {
  vectors: readonly RunVector[];
  vocabulary: Vocabulary;
  /** Prompts whose tokens figure 4 shows. */
  prompts: readonly number[];
  /** Names the run, under every title. */
  subtitle: string;
}

/** All figures of a run, in the order of docs/method.md §7, then the trade-off. */
export function runFigures(data: RunData, { vectors, vocabulary, prompts, subtitle }: FigureOptions): Figure[] {
  return [
    outcomesFigure(data, subtitle),
    stepsFigure(data, subtitle),
    sampleTokens(data, { vocabulary, prompts, subtitle }),
    ...vectors.map((vector) => normsFigure(vector, subtitle)),
    matricesFigure(data, subtitle),
    tradeOffFigure(data, subtitle),
  ];
}

/** Figure 4, for the first Dyn setting. */
function sampleTokens({ run, records }: RunData, { vocabulary, prompts, subtitle }: Omit<FigureOptions, "vectors">): Figure {
  const setting = run.settings.find((each) => groupOf(run, each) === "Dyn");
  const label = setting?.label ?? "Dyn";
  const own = records.filter(
    (record) => record.setting === label && prompts.includes(record.prompt) && record.alphas.some((ofVector) => ofVector.length > 0),
  );
  const samples = own.map((record): TokenSample => ({
    question: record.question,
    pieces: tokenPieces(record, vocabulary.bytes) ?? stepsOf(record.alphas),
  }));
  return tokensFigure(samples, {
    setting: label,
    subtitle,
    properties: (setting?.steer ?? []).map(({ vector }) => vectorNames(run)[vector]!),
    alphaMax: Math.max(...(setting?.steer ?? []).map(({ schedule }) => (schedule as { alphaMax: number }).alphaMax), 0),
    hasTexts: vocabulary.bytes !== undefined && own.some(({ tokens }) => tokens.length > 0),
    ...(setting ? {} : { missing: "the run has no Dyn setting" }),
  });
}

/** Shows steps instead of tokens. */
function stepsOf(alphas: readonly number[][]): TokenPiece[] {
  return Array.from({ length: Math.max(...alphas.map(({ length }) => length)) }, (_, step) => ({
    text: ` ${step} `,
    alphas: alphas.map((ofVector) => ofVector[step] ?? 0),
    isKept: true,
  }));
}
