import { JOINT, tradeOffRows, type RunData, type TradeOffRow } from "../data.js";
import { frontOf } from "../front.js";
import { placeLabels } from "../labels.js";
import { GROUPS } from "../strategy.js";
import { brief, deltaScale, GROUP_COLOURS, GROUP_SHAPES, INK, MUTED, PAPER, percent, type Chart, type Figure } from "./chart.js";

const SIZE = { width: 620, height: 400 };
/** Domain of the shares, slightly beyond 0 and 1 so that points at the ends are not cut off. */
const SHARES = [-0.06, 1.1] as const;

/** Figure 7: success of steering against fluency, one point per setting. Shows whether the paper's claim about Dyn holds. */
export function tradeOffFigure(data: RunData, subtitle: string): Figure {
  const found = tradeOffRows(data);
  const { property = "", rows = [] } = found ?? {};
  const front = frontOf(rows);
  const hit = property === JOINT ? "have all properties at once" : `are ${property}`;
  const base = {
    id: "trade-off",
    title: "The cost of steering in fluency",
    caption:
      `One point per setting. Higher points: more answers ${hit}. Points further left: closer to the fluency of the answer after `
      + "demonstrations (ΔPPL 0, dashed). Top left is best. Thin lines are 95 % intervals of the share (Wilson) and of the median "
      + "(bootstrap). Dyn has larger, filled marks. The paper claims that Dyn reaches the height of the best fixed α, "
      + "further to the left. The stepped line is the front: no setting is above and to the left of it. The horizontal line is the share "
      + "after demonstrations; the cross is a system message that asks for the property.",
    alt: rows
      .map(
        ({ setting, share, deltaPerplexity }) => `${setting}: ${percent(share.value)} at a median ΔPPL of ${brief(deltaPerplexity.value)}`,
      )
      .join("; "),
    data: rows.map(({ setting, group, share, deltaPerplexity }) => ({
      setting,
      group,
      property,
      share: share.value,
      share_low: share.low,
      share_high: share.high,
      delta_ppl_median: deltaPerplexity.value,
      delta_ppl_low: deltaPerplexity.low,
      delta_ppl_high: deltaPerplexity.high,
      on_front: front.some((row) => row.setting === setting) ? "yes" : "no",
    })),
  };
  if (!found) return { ...base, missing: "no answer was evaluated" };
  if (rows.length < 2) return { ...base, missing: "fewer than two settings have both a share and a ΔPPL" };
  const layer = layers(rows, front, property, iclShare(data, property));
  return { ...base, chart: { title: { text: base.title, subtitle }, ...SIZE, layer } };
}

/** The share after demonstrations, a setting that has no ΔPPL. */
function iclShare({ run, summary }: RunData, property: string): number | undefined {
  const label = run.settings.find(({ prompt }) => prompt === "icl")?.label;
  const icl = summary.find(({ setting }) => setting === label);
  return (property === JOINT ? icl?.joint : Object.values(icl?.properties ?? {})[0])?.share.value;
}

const LEGEND = { title: "strategy", symbolOpacity: 1, symbolStrokeWidth: 2 };

function layers(rows: readonly TradeOffRow[], front: readonly TradeOffRow[], property: string, icl: number | undefined): Chart[] {
  const deltas = deltaScale(
    rows.flatMap(({ deltaPerplexity: { value, low, high } }) => [value, low, high]),
    { name: "median ΔPPL", mostSpread: 6 },
  );
  const x = (field: string): Chart => ({
    field,
    type: "quantitative",
    scale: deltas.scale,
    axis: { ...deltas.axis, title: `${deltas.title} (← more fluent)` },
  });
  const y = (field: string): Chart => ({
    field,
    type: "quantitative",
    scale: { domain: SHARES, nice: false },
    axis: {
      values: [0, 0.2, 0.4, 0.6, 0.8, 1],
      labelExpr: "round(100 * datum.value) + ' %'",
      title: property === JOINT ? "answers with all properties at once" : `answers that are ${property}`,
    },
  });
  const groups = GROUPS.filter((group) => rows.some((row) => row.group === group));
  const height = (share: number): number => (1 - (share - SHARES[0]) / (SHARES[1] - SHARES[0])) * SIZE.height;
  const pixel = (row: TradeOffRow): { x: number; y: number } => ({
    x: deltas.position(row.deltaPerplexity.value) * SIZE.width,
    y: height(row.share.value),
  });
  const byRank = [...rows].sort((a, b) => Number(b.group === "Dyn") - Number(a.group === "Dyn")); // place Dyn's labels first
  const places = placeLabels(
    byRank.map((row) => ({ ...pixel(row), label: row.setting })),
    SIZE,
    icl === undefined ? [] : [{ left: SIZE.width - 62, right: SIZE.width, top: height(icl) - 16, bottom: height(icl) }],
  );
  const points = byRank.map((row, index) => ({
    label: row.setting,
    group: row.group,
    share: row.share.value,
    low: row.share.low,
    high: row.share.high,
    delta: row.deltaPerplexity.value,
    deltaLow: row.deltaPerplexity.low,
    deltaHigh: row.deltaPerplexity.high,
    isDyn: row.group === "Dyn",
    isFar: places[index]!.isFar,
    labelX: deltas.valueAt(places[index]!.x / SIZE.width),
    labelY: SHARES[0] + (1 - places[index]!.y / SIZE.height) * (SHARES[1] - SHARES[0]),
  }));
  const colour: Chart = {
    field: "group",
    type: "nominal",
    scale: { domain: groups, range: groups.map((group) => GROUP_COLOURS[group]) },
    legend: LEGEND,
  };
  const steps = front.map(({ share, deltaPerplexity }) => ({ delta: deltaPerplexity.value, share: share.value }));
  const edge = deltas.valueAt(1);
  return [
    {
      data: { values: [...steps, { delta: edge, share: steps.at(-1)!.share }] },
      mark: { type: "line", interpolate: "step-after", color: INK, opacity: 0.35, strokeWidth: 2 },
      encoding: { x: x("delta"), y: y("share") },
    },
    { data: { values: [{ zero: 0 }] }, mark: { type: "rule", color: MUTED, strokeDash: [6, 3] }, encoding: { x: x("zero") } },
    ...(icl === undefined
      ? []
      : [
          { data: { values: [{ icl }] }, mark: { type: "rule", color: MUTED, strokeDash: [6, 3] }, encoding: { y: y("icl") } },
          {
            data: { values: [{ icl }] },
            mark: { type: "text", align: "right", baseline: "bottom", dy: -2, fontSize: 10, color: MUTED, text: `ICL ${percent(icl)}` },
            encoding: { x: { value: SIZE.width }, y: y("icl") },
          },
        ]),
    {
      data: { values: points },
      mark: { type: "rule", opacity: 0.55 },
      encoding: { x: x("deltaLow"), x2: { field: "deltaHigh" }, y: y("share"), color: colour },
    },
    {
      data: { values: points },
      mark: { type: "rule", opacity: 0.55 },
      encoding: { x: x("delta"), y: y("low"), y2: { field: "high" }, color: colour },
    },
    {
      data: { values: points },
      mark: { type: "point", strokeWidth: 2, opacity: 1 },
      encoding: {
        x: x("delta"),
        y: y("share"),
        color: colour,
        shape: {
          field: "group",
          type: "nominal",
          scale: { domain: groups, range: groups.map((group) => GROUP_SHAPES[group]) },
          legend: LEGEND,
        },
        size: { condition: { test: "datum.isDyn", value: 170 }, value: 70 },
        fill: { condition: { test: "datum.isDyn", value: GROUP_COLOURS.Dyn }, value: "transparent" },
      },
    },
    {
      data: { values: points.filter(({ isFar }) => isFar) },
      mark: { type: "rule", color: MUTED, strokeWidth: 0.6 },
      encoding: { x: x("delta"), x2: { field: "labelX" }, y: y("share"), y2: { field: "labelY" } },
    },
    // First in the colour of the paper, so that lines do not cross the letters.
    ...[{ stroke: PAPER, strokeWidth: 3, color: PAPER }, { color: INK }].map((mark) => ({
      data: { values: points },
      mark: { type: "text", fontSize: 10, baseline: "middle", ...mark },
      encoding: { x: x("labelX"), y: y("labelY"), text: { field: "label" } },
    })),
  ];
}
