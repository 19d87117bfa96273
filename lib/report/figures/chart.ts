import { KINDS, STRATEGIES, type StrategyLabel } from "../../steering/index.js";
import { GROUPS, type Group } from "../strategy.js";

/** A Vega-Lite specification, untyped here; Vega-Lite checks it when compiling. */
export type Chart = Record<string, unknown>;

/** A figure of a run's section, or why it is missing. */
export interface Figure {
  /** Names its files, for example "outcomes". */
  id: string;
  title: string;
  /** How to read it, in plain sentences. */
  caption: string;
  /** Text alternative for readers who cannot see the figure. */
  alt: string;
  chart?: Chart;
  /** Why there is no chart. */
  missing?: string;
  /** The data of the chart, as a table. */
  data: ReadonlyArray<Record<string, string | number | null>>;
}

/** Colours that the page replaces with its own, for light and dark mode. No other mark may use them. */
export const INK = "#222326";
export const MUTED = "#666970";
export const GRID = "#dfe1e5";
export const PAPER = "#fefefd";

/** Okabe and Ito's palette, distinguishable with all kinds of colour vision: one per strategy, in order, and two spare ones. */
const STRATEGY_COLOURS = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#f0e442", "#000000"];
const STRATEGY_SHAPES = ["diamond", "circle", "triangle-up", "square", "wedge", "arrow"];
const OTHER_COLOURS = {
  ICL: "#7b7f87", "No ICL": "#a4a8b0", Prompted: "#8f6a4e", "One alone": "#e69f00", Budget: "#5b3fa0", "Answer budget": "#a5325f",
  Gated: "#8a9a00", Other: "#56b4e9",
};
/** A diagonal cross. */
const DIAGONAL = "M-0.8,-0.8L0.8,0.8M0.8,-0.8L-0.8,0.8";
/** A star of four points. */
const STAR = "M0,-1L0.3,-0.3L1,0L0.3,0.3L0,1L-0.3,0.3L-1,0L-0.3,-0.3Z";
/** Two triangles that meet at a point. */
const HOURGLASS = "M-0.8,-0.9L0.8,-0.9L-0.8,0.9L0.8,0.9Z";
/** A flat bar. */
const BAR = "M-1,-0.35L1,-0.35L1,0.35L-1,0.35Z";
const OTHER_SHAPES = {
  ICL: "cross", "No ICL": "triangle-left", Prompted: DIAGONAL, "One alone": "triangle-down", Budget: STAR, "Answer budget": HOURGLASS,
  Gated: BAR, Other: "triangle-right",
};
const byGroup = (others: Record<Exclude<Group, StrategyLabel>, string>, marks: readonly string[]): Record<Group, string> => {
  const ofStrategies = STRATEGIES.map((kind, index) => [KINDS[kind].label, marks[index % marks.length]!]);
  return { ...others, ...Object.fromEntries(ofStrategies) as Record<StrategyLabel, string> };
};
export const GROUP_COLOURS = byGroup(OTHER_COLOURS, STRATEGY_COLOURS);
export const GROUP_SHAPES = byGroup(OTHER_SHAPES, STRATEGY_SHAPES);
/** Colours and dashes of properties. */
export const PROPERTY_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
export const PROPERTY_DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [4, 4], [1, 3]];

export const groupColour = {
  field: "group",
  type: "nominal",
  scale: { domain: GROUPS, range: GROUPS.map((group) => GROUP_COLOURS[group]) },
  legend: null,
};

export const SANS = "DejaVu Sans, Verdana, Arial, sans-serif";
export const MONO = "DejaVu Sans Mono, Menlo, Consolas, monospace";

export const CONFIG: Chart = {
  background: null,
  aria: false,
  font: SANS,
  padding: 8,
  title: { color: INK, fontSize: 13, fontWeight: "bold", anchor: "start", subtitleColor: MUTED, subtitleFontSize: 11, offset: 12 },
  axis: {
    labelColor: INK,
    titleColor: INK,
    labelFontSize: 11,
    titleFontSize: 11,
    titleFontWeight: "normal",
    domainColor: MUTED,
    tickColor: MUTED,
    gridColor: GRID,
    labelLimit: 400,
    titleLimit: 900,
    labelOverlap: true,
  },
  header: { labelColor: INK, titleColor: INK, labelFontSize: 11, titleFontSize: 11, labelLimit: 400 },
  legend: {
    labelColor: INK,
    titleColor: INK,
    labelFontSize: 11,
    titleFontSize: 11,
    titleFontWeight: "normal",
    labelLimit: 400,
    titleLimit: 400,
  },
  view: { stroke: null },
  text: { color: INK, fontSize: 11, font: SANS },
  rule: { color: INK },
};

/** A scale for ΔPPL: linear or, if some values are far from the rest, symmetrically logarithmic. */
export interface DeltaScale {
  scale: Chart;
  axis: Chart;
  title: string;
  /** Position of a value, between 0 and 1, and the inverse. */
  position(value: number): number;
  valueAt(position: number): number;
  isLog: boolean;
}

/** Choose a scale: logarithmic if the largest absolute value exceeds `mostSpread` times the median one. */
export function deltaScale(values: readonly number[], { name = "ΔPPL", mostSpread = 25 } = {}): DeltaScale {
  const sizes = values.map(Math.abs).filter((size) => size > 0).sort((a, b) => a - b);
  const largest = sizes.at(-1) ?? 1;
  const middle = sizes[Math.floor(sizes.length / 2)] ?? 1;
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const room = (high - low || 1) * 0.03;
  if (largest / middle <= mostSpread) {
    const domain = [low < 0 ? low - room : 0, high + room];
    return {
      scale: { domain, zero: false, nice: false },
      axis: { tickCount: 5 },
      title: name,
      isLog: false,
      position: (value) => (value - domain[0]!) / (domain[1]! - domain[0]!),
      valueAt: (position) => domain[0]! + position * (domain[1]! - domain[0]!),
    };
  }
  const constant = 10 ** Math.max(-3, Math.floor(Math.log10(middle)));
  const log = (value: number): number => Math.sign(value) * Math.log1p(Math.abs(value) / constant);
  const linear = (position: number): number => Math.sign(position) * constant * Math.expm1(Math.abs(position));
  const domain = [low < 0 ? low * 1.3 : 0, high * 1.3];
  const decades = Math.log10(Math.max(high, -low) / constant);
  // As many ticks per power of ten (or of a hundred) as fit.
  const { factors, base } = decades < 2.5 ? { factors: [1, 2, 5], base: 10 } : { factors: [1], base: decades < 7 ? 10 : 100 };
  const positive = Array.from({ length: 14 }, (_, power) => factors.map((factor) => factor * constant * base ** power)).flat();
  const shown = [...positive.map((tick) => -tick), 0, ...positive]
    .filter((tick) => tick >= domain[0]! && tick <= domain[1]!)
    .map((tick) => Number(tick.toPrecision(6)));
  return {
    scale: { type: "symlog", constant, domain, zero: false, nice: false },
    axis: { values: shown, labelExpr: "format(datum.value, ',')", labelOverlap: false },
    title: `${name} (log scale, linear within ±${constant})`,
    position: (value) => (log(value) - log(domain[0]!)) / (log(domain[1]!) - log(domain[0]!)),
    valueAt: (position) => linear(log(domain[0]!) + position * (log(domain[1]!) - log(domain[0]!))),
    isLog: true,
  };
}

/** Format a number with as many digits as are useful to a reader. */
export function brief(value: number): string {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return "–";
  if (size >= 1e6) return value.toExponential(1);
  return value.toFixed(size >= 1000 ? 0 : size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
