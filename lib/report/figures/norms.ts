import { ALL_STEPS, normCells, type RunVector } from "../norms.js";
import { brief, PAPER, type Chart, type Figure } from "./chart.js";

/** Least width of a panel in pixels: room for its title. */
const LEAST = { large: 160, small: 66 };
/** Largest sides of a panel in pixels. */
const LARGEST = { wide: 420, high: 420 };
const SMALL = { wide: 170, high: 190 };

/** Figure 5: the norm of Δ by layer and head, as the mean over all steps and at single steps. */
export function normsFigure({ property, vector, missing }: RunVector, subtitle: string): Figure {
  const found = vector && normCells(vector);
  const means = found?.cells.filter(({ panel }) => panel === ALL_STEPS);
  const largest = means?.reduce((best, cell) => (cell.norm > best.norm ? cell : best));
  const smallest = means && Math.min(...means.map(({ norm }) => norm));
  const head = found && largest && found.nHead > 1 ? `, head ${largest.head}` : "";
  const base = {
    id: `norms-${property}`,
    title: `Norm of Δ for ${property}`,
    caption:
      !vector || !found
        ? ""
        : `The norm of the vector of ${property} in each part of the model (${vector.site}): layers from bottom to top, starting at 0`
          + `${found.nHead > 1 ? ", attention heads from left to right" : "; this site has no heads"}. The large panel shows the mean of `
          + "the norms over all token steps. The small panels show single token steps of the extraction on the same colour scale "
          + "(lighter = larger; spaced by the square root, so that small norms remain distinguishable). Colours are comparable only "
          + "within this figure: other models and properties have their own scales.",
    alt:
      largest && smallest !== undefined
        ? `Largest mean norm ${brief(largest.norm)} in layer ${largest.layer}${head}; smallest ${brief(smallest)}.`
        : "",
    data: found?.cells.map(({ layer, head, panel, norm }) => ({ layer, head, step: panel, norm })) ?? [],
  };
  if (!vector || !found) return { ...base, missing: missing! };
  const { cells, nHead, panels } = found;
  const limits = [0, Math.max(...cells.map(({ norm }) => norm)) || 1];
  const layers = vector.layers;
  const sizeOf = ({ wide, high }: typeof SMALL, most: number): { x: number; y: number } => ({
    x: Math.max(2, Math.min(most, Math.floor(wide / nHead))),
    y: Math.max(2, Math.min(most, Math.floor(high / layers.length))),
  });
  const panel = (name: string, { x, y }: { x: number; y: number }, axes: { x: boolean; y: boolean }): Chart => ({
    data: {
      values: cells
        .filter((cell) => cell.panel === name)
        .map(({ layer, head, norm }) => ({ layer, head, norm: Number(norm.toPrecision(4)) })),
    },
    title: { text: name === ALL_STEPS ? "mean of all steps" : name, fontSize: 11, fontWeight: "normal", offset: 4 },
    width: Math.max(x * nHead, name === ALL_STEPS ? LEAST.large : LEAST.small),
    height: y * layers.length,
    mark: { type: "rect", stroke: PAPER, strokeWidth: Math.min(x, y) > 8 ? 0.5 : 0 },
    encoding: {
      x: {
        field: "head",
        type: "ordinal",
        axis: axes.x && nHead > 1 ? { title: "head", labelAngle: 0, values: ticks(nHead, x), ticks: false, domain: false } : null,
        scale: { paddingInner: 0, paddingOuter: 0 },
      },
      y: {
        field: "layer",
        type: "ordinal",
        sort: "descending",
        axis: axes.y ? { title: "layer", values: ticks(layers.at(-1)! + 1, y), ticks: false, domain: false } : null,
        scale: { paddingInner: 0, paddingOuter: 0 },
      },
      color: {
        field: "norm",
        type: "quantitative",
        scale: { type: "sqrt", scheme: "viridis", domain: limits },
        legend: { title: "norm of Δ", gradientLength: 140 },
      },
    },
  });
  const single = panels.slice(1);
  const half = Math.ceil(single.length / 2);
  const small = sizeOf(SMALL, 12);
  const grid = [single.slice(0, half), single.slice(half)].filter((row) => row.length > 0);
  return {
    ...base,
    chart: {
      title: { text: base.title, subtitle },
      hconcat: [
        panel(ALL_STEPS, sizeOf(LARGEST, 22), { x: true, y: true }),
        ...(grid.length > 0
          ? [
              {
                vconcat: grid.map((row, index) => ({
                  hconcat: row.map((name, column) => panel(name, small, { x: index === grid.length - 1, y: column === 0 })),
                  spacing: 22,
                })),
                spacing: 14,
              },
            ]
          : []),
      ],
      spacing: 36,
      resolve: { scale: { color: "shared" } },
    },
  };
}

/** The indices to label on an axis: as many as fit. */
function ticks(n: number, size: number): number[] {
  const every = [1, 2, 4, 5, 8, 10, 16, 20, 32].find((step) => step * size >= 16) ?? 50;
  return Array.from({ length: Math.ceil(n / every) }, (_, i) => i * every);
}
