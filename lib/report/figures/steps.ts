import { stepRows, STEP_QUANTITIES, type RunData } from "../data.js";
import { PROPERTY_COLOURS, PROPERTY_DASHES, brief, type Chart, type Figure } from "./chart.js";

const HEIGHT = 130;
const WIDTH = 230;
/** Share of the answers that must reach a step for it to be drawn. */
const LEAST_REACHED = 0.1;
/** Panels beside each other. */
const COLUMNS = 4;

/** Figure 3: mean KL and α per generation step, one panel per p, one line per property. */
export function stepsFigure(data: RunData, subtitle: string): Figure {
  const all = stepRows(data);
  const rows = all.filter(({ setting, n }) => n >= LEAST_REACHED * Math.max(...all.filter((row) => row.setting === setting).map((row) => row.n)));
  const properties = [...new Set(rows.map(({ property }) => property))];
  const settings = [...new Set(rows.map(({ setting }) => setting))];
  const base = {
    id: "steps", title: "KL and α of Dyn per generation step",
    caption: `What Dyn measured and added, step by step; one column per p (top-p of Dyn)${properties.length > 1 ? `, one line per property (${properties.join(", ")})` : ""}. `
      + "KL (in nats) says how much the strongly steered model would rather write something else than the unsteered one; α is the intensity that follows from it, at most 2. "
      + "Lines are means over the answers that were still being written at that step, bands their 95 % bootstrap intervals. Late steps rest on fewer answers (column n of the data); those that fewer than a tenth of the answers reached are in the data only.",
    alt: settings.map((setting) => properties.map((property) => {
      const series = (quantity: string) => rows.filter((row) => row.setting === setting && row.property === property && row.quantity === quantity);
      const ends = (quantity: string): string => `${quantity} from ${brief(series(quantity)[0]?.mean ?? NaN)} at step 0 to ${brief(series(quantity).at(-1)?.mean ?? NaN)} at the last`;
      return `${setting}, ${property}: ${ends("KL")}, ${ends("α")}`;
    }).join("; ")).join("; "),
    data: all.map(({ setting, property, quantity, step, mean, low, high, n }) => ({ setting, property, quantity, step, mean, low, high, n })),
  };
  if (settings.length === 0) return { ...base, missing: data.run.settings.some(({ label }) => label.startsWith("Dyn")) ? "the Dyn answers hold no α and no KL per step" : "the run has no Dyn setting" };
  const legend = properties.length > 1 ? { title: "property", symbolType: "stroke", symbolOpacity: 1, symbolSize: 500, symbolStrokeWidth: 2, symbolFillColor: "transparent" } : null;
  const colour = { field: "property", type: "nominal", scale: { domain: properties, range: PROPERTY_COLOURS }, legend };
  const panel = (setting: string, quantity: string, isFirst: boolean, isLast: boolean): Chart => {
    const own = rows.filter((row) => row.setting === setting && row.quantity === quantity);
    const most = Math.max(...rows.filter((row) => row.quantity === quantity).map(({ mean, high }) => high ?? mean), 0.1);
    const x = { field: "step", type: "quantitative", scale: { domain: [0, Math.max(1, ...rows.map(({ step }) => step))], nice: false }, axis: { title: isLast ? "generation step" : null, grid: false, tickMinStep: 1, tickCount: 6 } };
    const y = (field: string): Chart => ({ field, type: "quantitative", scale: { domain: [Math.min(0, ...own.map(({ mean }) => mean)), most] }, axis: { title: isFirst ? (quantity === "KL" ? "mean KL (nats)" : "mean α") : null, tickCount: 4, minExtent: 30 } });
    return {
      width: WIDTH, height: HEIGHT, ...(quantity === STEP_QUANTITIES[0] && { title: { text: setting, fontSize: 12, offset: 6 } }),
      layer: [
        { data: { values: own.filter(({ low }) => low !== null) }, mark: { type: "area", opacity: 0.22 }, encoding: { x, y: y("low"), y2: { field: "high" }, color: colour } },
        {
          data: { values: own }, mark: { type: "line", strokeWidth: 2, point: { size: 12 } },
          encoding: {
            x, y: y("mean"), color: colour,
            strokeDash: { field: "property", type: "nominal", scale: { domain: properties, range: PROPERTY_DASHES }, legend },
          },
        },
      ],
    };
  };
  const chunks = Array.from({ length: Math.ceil(settings.length / COLUMNS) }, (_, i) => settings.slice(i * COLUMNS, (i + 1) * COLUMNS));
  return {
    ...base,
    chart: {
      title: { text: base.title, subtitle },
      vconcat: chunks.map((chunk) => ({ hconcat: chunk.map((setting, index) => ({ vconcat: STEP_QUANTITIES.map((quantity, row) => panel(setting, quantity, index === 0, row === 1)), spacing: 14 })), spacing: 26 })),
    },
  };
}
