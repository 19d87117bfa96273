import { stepRows, STEP_QUANTITIES, type RunData } from "../data.js";
import { PROPERTY_COLOURS, PROPERTY_DASHES, brief, type Chart, type Figure } from "./chart.js";

const HEIGHT = 130;
const WIDTH = 230;
/** A step is drawn if at least this share of the answers reached it. */
const LEAST_REACHED = 0.1;
/** Panels per row. */
const COLUMNS = 4;

/** Figure 3: mean KL and α per generation step, one panel per p, one line per property. */
export function stepsFigure(data: RunData, subtitle: string): Figure {
  const all = stepRows(data);
  const rows = all.filter(
    ({ setting, n }) => n >= LEAST_REACHED * Math.max(...all.filter((row) => row.setting === setting).map((row) => row.n)),
  );
  const properties = [...new Set(rows.map(({ property }) => property))];
  const settings = [...new Set(rows.map(({ setting }) => setting))];
  const perProperty = properties.length > 1 ? `, one line per property (${properties.join(", ")})` : "";
  const base = {
    id: "steps",
    title: "KL and α of Dyn per generation step",
    caption:
      `The KL that Dyn measured and the α that it applied at each step; one column per p (top-p of Dyn)${perProperty}. KL (in nats) is `
      + "how much the next-token distribution of the strongly steered model differs from that of the unsteered one; α is the intensity "
      + "derived from it, at most 2. Lines are means over the answers that reached the step, bands their 95 % bootstrap intervals. "
      + "Late steps are based on fewer answers (column n of the data); steps that fewer than a tenth of the answers reached appear only "
      + "in the data.",
    alt: settings
      .map((setting) =>
        properties
          .map((property) => {
            const series = (quantity: string) =>
              rows.filter((row) => row.setting === setting && row.property === property && row.quantity === quantity);
            const ends = (quantity: string): string => {
              const [first, last] = [series(quantity)[0], series(quantity).at(-1)].map((row) => brief(row?.mean ?? NaN));
              return `${quantity} from ${first} at step 0 to ${last} at the last`;
            };
            return `${setting}, ${property}: ${ends("KL")}, ${ends("α")}`;
          })
          .join("; "),
      )
      .join("; "),
    data: all.map(({ setting, property, quantity, step, mean, low, high, n }) => ({
      setting,
      property,
      quantity,
      step,
      mean,
      low,
      high,
      n,
    })),
  };
  if (settings.length === 0) {
    const hasDyn = data.run.settings.some(({ label }) => label.startsWith("Dyn"));
    return { ...base, missing: hasDyn ? "the Dyn answers contain no α and no KL per step" : "the run has no Dyn setting" };
  }
  const legend =
    properties.length > 1
      ? { title: "property", symbolType: "stroke", symbolOpacity: 1, symbolSize: 500, symbolStrokeWidth: 2, symbolFillColor: "transparent" }
      : null;
  const colour = { field: "property", type: "nominal", scale: { domain: properties, range: PROPERTY_COLOURS }, legend };
  const panel = (setting: string, quantity: string, isFirst: boolean, isLast: boolean): Chart => {
    const own = rows.filter((row) => row.setting === setting && row.quantity === quantity);
    const most = Math.max(...rows.filter((row) => row.quantity === quantity).map(({ mean, high }) => high ?? mean), 0.1);
    const x = {
      field: "step",
      type: "quantitative",
      scale: { domain: [0, Math.max(1, ...rows.map(({ step }) => step))], nice: false },
      axis: { title: isLast ? "generation step" : null, grid: false, tickMinStep: 1, tickCount: 6 },
    };
    const y = (field: string): Chart => ({
      field,
      type: "quantitative",
      scale: { domain: [Math.min(0, ...own.map(({ mean }) => mean)), most] },
      axis: { title: isFirst ? (quantity === "KL" ? "mean KL (nats)" : "mean α") : null, tickCount: 4, minExtent: 30 },
    });
    return {
      width: WIDTH,
      height: HEIGHT,
      ...(quantity === STEP_QUANTITIES[0] && { title: { text: setting, fontSize: 12, offset: 6 } }),
      layer: [
        {
          data: { values: own.filter(({ low }) => low !== null) },
          mark: { type: "area", opacity: 0.22 },
          encoding: { x, y: y("low"), y2: { field: "high" }, color: colour },
        },
        {
          data: { values: own },
          mark: { type: "line", strokeWidth: 2, point: { size: 12 } },
          encoding: {
            x,
            y: y("mean"),
            color: colour,
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
      vconcat: chunks.map((chunk) => ({
        hconcat: chunk.map((setting, index) => ({
          vconcat: STEP_QUANTITIES.map((quantity, row) => panel(setting, quantity, index === 0, row === 1)),
          spacing: 14,
        })),
        spacing: 26,
      })),
    },
  };
}
