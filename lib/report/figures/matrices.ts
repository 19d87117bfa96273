import { matrixCells, MEDIAN_DELTA, JOINT, type RunData } from "../data.js";
import { vectorNames } from "../strategy.js";
import { brief, INK, PAPER, percent, type Chart, type Figure } from "./chart.js";

const CELL = { wide: 64, high: 44 };

/** Figure 6: accuracies and ΔPPL of fixed compositions of two vectors, by their alphas. */
export function matricesFigure(data: RunData, subtitle: string): Figure {
  const cells = matrixCells(data);
  const [first = "", second = ""] = vectorNames(data.run);
  const quantities = [...new Set(cells.map(({ quantity }) => quantity))];
  const base = {
    id: "matrices",
    title: "Fixed composition by α₁ and α₂",
    caption:
      `Each square is one fixed composition, with the same alphas at every token: α₁ of ${first} on the vertical axis, `
      + `α₂ of ${second} on the horizontal axis. The number in the square is the share of answers that have the property `
      + `(${JOINT}: every property), or the median ΔPPL. Lighter squares have higher values; for ΔPPL, darker is better.`,
    alt: cells
      .map(({ alpha1, alpha2, quantity, value }) => `α₁ ${alpha1}, α₂ ${alpha2}: ${quantity} ${textOf(quantity, value)}`)
      .join("; "),
    data: cells.map(({ alpha1, alpha2, quantity, value }) => ({ alpha1, alpha2, quantity, value })),
  };
  const { kind, vectors } = data.run;
  if (kind === "single") return { ...base, missing: "the run steers with one vector" };
  if (vectors.length !== 2) return { ...base, missing: `the run composes ${vectors.length} vectors; a matrix shows two` };
  const nSettings = new Set(cells.map(({ alpha1, alpha2 }) => `${alpha1}+${alpha2}`)).size;
  if (nSettings === 0) return { ...base, missing: "no fixed composition was evaluated" };
  if (nSettings === 1) return { ...base, missing: "the run has only one fixed composition; a matrix needs several alphas" };
  return {
    ...base,
    chart: {
      title: { text: base.title, subtitle },
      hconcat: quantities.map((quantity) => panel(quantity, cells, [first, second])),
      spacing: 40,
      resolve: { scale: { color: "independent" } },
    },
  };
}

function panel(quantity: string, all: ReturnType<typeof matrixCells>, [first, second]: readonly [string, string]): Chart {
  const own = all.filter((cell) => cell.quantity === quantity);
  const values = own.map(({ value }) => value);
  const limits = quantity === MEDIAN_DELTA ? [Math.min(0, ...values), Math.max(...values, Math.min(0, ...values) + 1e-9)] : [0, 1];
  const isLight = (value: number): boolean => (value - limits[0]!) / (limits[1]! - limits[0]!) > 0.55;
  const rows = own.map((cell) => ({ ...cell, label: textOf(quantity, cell.value), isLight: isLight(cell.value) }));
  const alphas = (pick: (cell: (typeof own)[number]) => number): number[] => [...new Set(own.map(pick))].sort((a, b) => a - b);
  const [alphas1, alphas2] = [alphas(({ alpha1 }) => alpha1).reverse(), alphas(({ alpha2 }) => alpha2)];
  const x = {
    field: "alpha2",
    type: "ordinal",
    scale: { domain: alphas2 },
    axis: { title: `α₂ (${second})`, labelAngle: 0, ticks: false, domain: false },
  };
  const y = {
    field: "alpha1",
    type: "ordinal",
    scale: { domain: alphas1 },
    axis: { title: `α₁ (${first})`, ticks: false, domain: false },
  };
  return {
    width: Math.max(2, alphas2.length) * CELL.wide,
    height: alphas1.length * CELL.high,
    data: { values: rows },
    title: { text: quantity, fontSize: 12, color: INK, offset: 6 },
    layer: [
      {
        mark: { type: "rect", stroke: PAPER, strokeWidth: 1 },
        encoding: { x, y, color: { field: "value", type: "quantitative", scale: { scheme: "viridis", domain: limits }, legend: null } },
      },
      ...[
        { color: "#000000", isLight: true },
        { color: "#ffffff", isLight: false },
      ].map(({ color, isLight: onLight }) => ({
        data: { values: rows.filter((row) => row.isLight === onLight) },
        mark: { type: "text", fontSize: 12, color },
        encoding: { x, y, text: { field: "label" } },
      })),
    ],
  };
}

function textOf(quantity: string, value: number): string {
  return quantity === MEDIAN_DELTA ? brief(value) : percent(value);
}
