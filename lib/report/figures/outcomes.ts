import { boxRows, shareRows, JOINT, type RunData } from "../data.js";
import { groupedSettings } from "../strategy.js";
import { brief, deltaScale, GROUP_COLOURS, groupColour, INK, MUTED, percent, type Chart, type Figure } from "./chart.js";

const ROW = 20;
/** Width of a panel of shares, smaller if there are several. */
const SHARE_WIDTH = { one: 260, several: 170 };
const BOX_WIDTH = 300;

/** Figures 1 (single property) and 2 (composition): shares of hits as bars, ΔPPL as boxes, one row per setting. */
export function outcomesFigure(data: RunData, subtitle: string): Figure {
  const shares = shareRows(data);
  const boxes = boxRows(data);
  const drawn = new Set([...shares, ...boxes].map(({ setting }) => setting));
  const groups = groupedSettings(data.run)
    .map(({ group, labels }) => ({ group, labels: labels.filter((label) => drawn.has(label)) }))
    .filter(({ labels }) => labels.length > 0);
  const properties = [...new Set(shares.map(({ property }) => property))];
  const quantities = [...(shares.length > 0 ? ["Accuracy"] : []), ...(boxes.length > 0 ? ["ΔPPL"] : [])].join(" and ") || "Accuracy";
  const what = data.run.kind === "single" ? quantities : `${quantities} of the composition`;
  const base = {
    id: "outcomes",
    title: `${what} by strategy`,
    caption: caption(data, properties, boxes.length > 0),
    alt: `One row per setting. ${shares
      .map(({ setting, property, share }) => `${setting}: ${property} ${percent(share)}`)
      .concat(boxes.map(({ setting, median }) => `${setting}: median ΔPPL ${brief(median)}`))
      .join("; ")}.`,
    data: [
      ...shares.map(({ setting, group, property, share, low, high, n, undetermined }) => ({
        setting,
        group,
        quantity: property,
        value: share,
        low,
        high,
        n,
        undetermined,
        q1: null,
        q3: null,
        low_whisker: null,
        high_whisker: null,
        outliers: null,
      })),
      ...boxes.map(({ setting, group, n, q1, median, q3, lowWhisker, highWhisker, outliers }) => ({
        setting,
        group,
        quantity: "ΔPPL (median)",
        value: median,
        low: null,
        high: null,
        n,
        undetermined: null,
        q1,
        q3,
        low_whisker: lowWhisker,
        high_whisker: highWhisker,
        outliers: outliers.join(" "),
      })),
    ],
  };
  if (shares.length === 0 && boxes.length === 0) {
    return { ...base, missing: data.records.length === 0 ? "the run has no answers yet" : "no answer was evaluated, and none has a ΔPPL" };
  }
  // An empty row separates two groups. Its name is a distinct number of spaces.
  const rows = groups.flatMap(({ labels }, index) => [...(index > 0 ? [" ".repeat(index)] : []), ...labels]);
  const y = { field: "setting", type: "nominal", scale: { domain: rows, paddingInner: 0.25, paddingOuter: 0.2 } };
  const width = properties.length > 1 ? SHARE_WIDTH.several : SHARE_WIDTH.one;
  const panels = [
    ...properties.map((property) => ({
      width,
      draw: (axis: Chart | null) =>
        sharePanel(
          width,
          shares.filter((row) => row.property === property),
          { ...y, axis },
          referenceShares(data, shares, property),
          property,
        ),
    })),
    ...(boxes.length > 0 ? [{ width: BOX_WIDTH, draw: (axis: Chart | null) => boxPanel(boxes, { ...y, axis }) }] : []),
  ];
  const labels = { title: null, ticks: false, domain: false, labelPadding: 6, labelOverlap: false };
  return {
    ...base,
    chart: {
      title: { text: base.title, subtitle },
      hconcat: panels.map(({ draw, ...size }, index) => ({ ...size, height: rows.length * ROW, ...draw(index === 0 ? labels : null) })),
      spacing: 22,
    },
  };
}

/** How the shares of the unsteered settings are drawn, by their prompt. */
const REFERENCE_LINES = {
  icl: { strokeDash: [6, 3] },
  "no-icl": { strokeDash: [1, 3], strokeCap: "round" },
  prompted: { strokeDash: [8, 3, 1, 3], color: GROUP_COLOURS.Prompted },
};

/** Shares of the unsteered settings, drawn as reference lines. */
function referenceShares({ run }: RunData, shares: ReturnType<typeof shareRows>, property: string): Array<{ share: number; kind: string }> {
  return run.settings.filter(({ steer, prompt }) => steer.length === 0 && prompt !== "icl-language").flatMap(({ label, prompt }) =>
    shares.filter((row) => row.setting === label && row.property === property).map(({ share }) => ({ share, kind: prompt })));
}

function sharePanel(
  width: number,
  rows: ReturnType<typeof shareRows>,
  y: Chart,
  references: Array<{ share: number; kind: string }>,
  property: string,
): Chart {
  const x = (field: string): Chart => ({
    field,
    type: "quantitative",
    scale: { domain: [0, 1] },
    axis: {
      labelExpr: "round(100 * datum.value) + ' %'",
      values: [0, 0.5, 1],
      labelOverlap: false,
      title: property === JOINT ? "answers: all at once" : `answers: ${property}`,
    },
  });
  return {
    layer: [
      ...Object.entries(REFERENCE_LINES).map(([kind, mark]) => ({
        data: { values: references.filter((each) => each.kind === kind) },
        mark: { type: "rule", color: MUTED, ...mark },
        encoding: { x: x("share") },
      })),
      { data: { values: rows }, mark: { type: "bar" }, encoding: { y, x: x("share"), color: groupColour } },
      { data: { values: rows }, mark: { type: "rule", color: INK, strokeWidth: 1.5 }, encoding: { y, x: x("low"), x2: { field: "high" } } },
      {
        data: { values: rows.map((row) => ({ setting: row.setting, label: percent(row.share) })) },
        mark: { type: "text", align: "right", color: INK },
        encoding: { y, x: { value: width + 46 }, text: { field: "label" } },
      },
    ],
  };
}

function boxPanel(rows: ReturnType<typeof boxRows>, y: Chart): Chart {
  const { scale, axis, title } = deltaScale(
    rows.flatMap(({ lowWhisker, highWhisker, median, outliers }) => [lowWhisker, highWhisker, median, ...outliers]),
  );
  const x = (field: string): Chart => ({ field, type: "quantitative", scale, axis: { ...axis, title } });
  return {
    layer: [
      { data: { values: [{ zero: 0 }] }, mark: { type: "rule", color: MUTED, strokeDash: [6, 3] }, encoding: { x: x("zero") } },
      { data: { values: rows }, mark: { type: "rule", color: MUTED }, encoding: { y, x: x("lowWhisker"), x2: { field: "highWhisker" } } },
      {
        data: { values: rows },
        mark: { type: "bar", size: 12, strokeWidth: 1 },
        encoding: { y, x: x("q1"), x2: { field: "q3" }, color: groupColour },
      },
      {
        data: { values: rows.flatMap(({ setting, outliers }) => outliers.map((value) => ({ setting, value }))) },
        mark: { type: "point", size: 14, color: MUTED, strokeWidth: 1 },
        encoding: { y, x: x("value") },
      },
      { data: { values: rows }, mark: { type: "tick", color: INK, thickness: 2, size: 14 }, encoding: { y, x: x("median") } },
      {
        data: { values: rows.map(({ setting, median }) => ({ setting, label: brief(median) })) },
        mark: { type: "text", align: "right", color: INK },
        encoding: { y, x: { value: BOX_WIDTH + 52 }, text: { field: "label" } },
      },
    ],
  };
}

const BARS = "Bars: the share of answers that have the property, with its 95 % interval (Wilson); answers that could not be judged count "
  + "as not having it. The dashed line is the share after demonstrations (ICL), the dotted line that of the question alone, the "
  + "dash-dotted line that under a system message that asks for the property (prompted).";
const BOXES = "Boxes: ΔPPL, the perplexity of the answer after demonstrations under a setting minus its perplexity under its own prompt. "
  + "Lower is better; 0 means equally fluent. Box: middle half of the answers; thick mark and number: median; line: values within "
  + "1.5 box lengths; circles: values beyond.";

function caption({ run }: RunData, properties: readonly string[], hasBoxes: boolean): string {
  const alphas = run.kind === "single" ? "α" : `α for ${run.vectors.map(({ property }) => property).join(" + ")}`;
  return [
    `One row per setting. The numbers in its name are ${alphas}; for Dyn, p is its top-p.`,
    properties.length > 0 ? BARS : "",
    hasBoxes ? BOXES : "",
  ].filter(Boolean).join(" ");
}
