import { KINDS, parseSchedule, type WrittenSchedule } from "../../steering/index.js";
import { dynamicSettings, fixedAlphaOf, type VectorData } from "../../vector/index.js";
import type { RunSetting } from "../../results/index.js";
import type { Method, MethodsConfig } from "./config.js";

/** The gate of the method `gated`: its probe's file, and the layers that are steered, which come after the probe's. */
export interface GatePart {
  probe: string;
  layers: number[];
}

/** What settings are made of. */
export interface Parts {
  vectors: readonly VectorData[];
  gate: GatePart | undefined;
}

/**
 * Strengths to try, weakest first: for alphas, multiples of the one that the vector's extraction measured; for Dyn, p_top; for budgets,
 * nats per token or per answer. Start and Dim steer less than Fixed at the same alpha, so their multiples are larger. Dyn divides its KL
 * by the number of tokens in p_top, so it steers less the larger that is. The same number for every method.
 */
const STRENGTHS: Readonly<Record<Method, readonly number[]>> = {
  fixed: [0.5, 0.75, 1, 1.4], start: [1, 1.7, 2.8, 4.5], diminishing: [0.75, 1.1, 1.6, 2.3],
  dynamic: [0.8, 0.5, 0.3, 0.1], budget: [0.5, 1.5, 4, 8], "answer-budget": [10, 25, 60, 150], gated: [0.75, 1, 1.4, 2],
};
/** Several vectors at once each take less. */
const SHARED: Partial<Record<Method, readonly number[]>> = {
  fixed: [0.3, 0.45, 0.65, 0.9], start: [0.6, 1, 1.7, 2.8], diminishing: [0.45, 0.7, 1, 1.5], budget: [0.3, 1, 2.5, 5],
  "answer-budget": [6, 15, 40, 100],
};
/** The largest strengths that methods take, in number; others have no end. */
const LARGEST: Partial<Record<Method, number>> = { dynamic: 1 };
/** A budget's largest alpha, as a multiple. */
const BUDGET_REACH = 2;
/** The gate is open at tokens at which the answer does not yet show the property. */
const WHILE_NEEDED = { below: 0.5, per: "token", shape: "hard" } as const;

/** The strengths that a method tries first, weakest first. */
export function strengthsOf(method: Method, nVectors: number): readonly number[] {
  return (nVectors > 1 ? SHARED[method] : undefined) ?? STRENGTHS[method];
}

/** The largest number that a method's strength can be. */
export function largestOf(method: Method): number {
  return LARGEST[method] ?? Infinity;
}

/** Rows of a decode that an answer of this method takes per token: 1 for its output, more for what it measures. */
export function rowsPerToken(method: Method, nVectors: number): number {
  return method === "dynamic" || isBudget(method) ? 2 + nVectors : 1;
}

function isBudget(method: Method): method is "budget" | "answer-budget" {
  return method === "budget" || method === "answer-budget";
}

/** The setting of a method with one of its strengths. */
export function settingOf(method: Method, strength: number, { vectors, gate }: Parts): RunSetting {
  const steer = vectors.flatMap((each, vector) => {
    const term = { vector, schedule: scheduleOf(method, strength, each) };
    if (method !== "gated" || gate === undefined) return [term];
    // On the first token's row, the prompt's last, the probe would read a prompt.
    const later = { gate: { probe: gate.probe, ...WHILE_NEEDED }, layers: gate.layers };
    return [{ ...term, only: { to: 1 } }, { ...term, only: { from: 1 }, ...later }];
  });
  const how = method === "dynamic" ? `p=${strength}` : isBudget(method) ? String(strength)
    : vectors.map((each) => String((scheduleOf(method, strength, each) as { alpha: number }).alpha)).join("+");
  return { label: `${METHOD_LABELS[method]} ${how}`, prompt: "no-icl", steer };
}

const METHOD_LABELS: Readonly<Record<Method, string>> = {
  fixed: KINDS.fixed.label, start: KINDS.start.label, diminishing: KINDS.diminishing.label, dynamic: KINDS.dynamic.label,
  budget: "Budget", "answer-budget": "Answer budget", gated: "Gated",
};

function scheduleOf(method: Method, strength: number, { provenance: { calibration } }: VectorData): WrittenSchedule {
  const times = (factor: number): number => Number((alphaOf(calibration) * factor).toPrecision(3));
  if (method === "dynamic") return parseSchedule({ kind: "dynamic", ...dynamicSettings(calibration), topP: strength });
  if (isBudget(method)) {
    const per = method === "budget" ? "token" : "answer";
    return parseSchedule({ kind: "budget", nats: strength, alphaMax: times(BUDGET_REACH), per });
  }
  return parseSchedule({ kind: method === "gated" ? "fixed" : method, alpha: times(strength) });
}

/** The alpha of a vector alone; 1 if its extraction could measure none. */
export function alphaOf(calibration: VectorData["provenance"]["calibration"]): number {
  return fixedAlphaOf(calibration) ?? 1;
}

/** Rows per token beside those of the answer: its perplexity, and a judge that reads it; and for a steered one the two of its KL. */
const [JUDGED, MEASURED] = [2, 2];

/** Rows of decodes that a comparison takes, about: to choose the strengths, and to answer and measure the held-out questions. */
export function workOf(
  { properties, methods, validation, evaluationSize, maxNewTokens }: MethodsConfig,
): { choosing: number; answering: number } {
  const n = properties.length;
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const rows = methods.map((method) => rowsPerToken(method, n) + JUDGED);
  // Each method is compared with unsteered answers of its own.
  const tried = sum(methods.map((method, index) => strengthsOf(method, n).length * rows[index]! + 1 + JUDGED));
  const alone = n > 1 ? n * (1 + JUDGED + MEASURED) : 0;
  const settings = sum(rows.map((each) => each + MEASURED)) + alone + 2 * (1 + JUDGED);
  return { choosing: validation * maxNewTokens * tried, answering: evaluationSize * maxNewTokens * settings };
}
