import type { Reading } from "../logic/readings.js";
import type { Answer, ShownToken } from "../state/answer.js";
import { latest } from "../state/run.js";
import { probes, scale, uses } from "../state/store.js";
import { Plot, type Colour, type Series } from "./plot.js";

const COLOURS: readonly Colour[] = ["third", "second", "accent"];
/** One per property. */
const DASHES = [undefined, [6, 4], [2, 3], [10, 3, 2, 3]] as const;

interface Line extends Series {
  values: Array<number | null>;
}

/** Alpha and KL of every token, one line per column and property; and what probes and gates read, one per column and probe. */
export function Charts() {
  const answers = latest()?.answers ?? [];
  for (const { slowVersion } of answers) void slowVersion.value;
  const ofProperties = (read: (reading: Reading) => number | null) => ({ titles }: Answer): Read[] => (
    titles.map((name, at) => ({ name, of: ({ readings }) => (readings[at] ? read(readings[at]) : null) }))
  );
  const alphas = linesOf(answers, ofProperties(({ alpha }) => alpha));
  const kls = linesOf(answers, ofProperties(({ kl }) => kl)).filter(isMeasured);
  const read = linesOf(answers, readBy);
  const hasBudget = answers.some(({ entries }) => entries.some(({ schedule }) => schedule.kind === "budget"));
  const hasGate = uses.value.some(({ how }) => how?.gate);
  return (
    <div class="charts">
      <Chart title="Alpha per token" lines={alphas} max={scale.value} note="how strongly the vector was added" />
      <Chart title="KL per token" lines={kls}
        note={hasBudget ? "what a budget spent, or Dyn measured" : "how much the vector would change it"} />
      {(read.length > 0 || probes.value.length > 0 || hasGate) && (
        <Chart title="Probes per token" lines={read} marks={thresholdsOf(answers)} max={1} note="probability of what it looks for" />
      )}
    </div>
  );
}

/** Something that was read at every token. */
interface Read {
  name: string;
  of: (token: ShownToken) => number | null;
}

/** What the probes read, those of gates too. */
function readBy({ probes: all, gates }: Answer): Read[] {
  return [
    ...all.map(({ title }, at): Read => ({ name: title, of: ({ monitors }) => monitors?.[at] ?? null })),
    ...gates.flatMap((title, at): Read[] => (
      title === undefined ? [] : [{ name: `gate ${title}`, of: ({ readings }) => readings[at]?.gate?.probability ?? null }]
    )),
  ];
}

/** Where gates open. */
function thresholdsOf(answers: readonly Answer[]): Line[] {
  const length = Math.max(0, ...answers.map(({ tokens }) => tokens.length));
  const thresholds = answers.flatMap(({ entries }) => entries.flatMap(({ gate }) => gate?.above ?? gate?.below ?? []));
  return [...new Set(thresholds)].map((value) => (
    { label: `threshold ${value}`, colour: "muted", dash: [1, 4], values: Array<number>(length).fill(value) }
  ));
}

function Chart({ title, lines: measured, marks = [], note, max }: {
  title: string; lines: readonly Line[]; marks?: readonly Line[]; note: string; max?: number;
}) {
  const lines = [...measured, ...marks];
  const length = Math.max(20, ...lines.map(({ values }) => values.length));
  const padded = lines.map(({ values }) => [...values, ...Array<null>(length - values.length).fill(null)]);
  return (
    <figure>
      <figcaption><b>{title}</b> <span>{note}</span></figcaption>
      <Plot height={132} label={`${title}: ${measured.map(summary).join("; ") || "nothing yet"}`} isWhole {...(max !== undefined && { max })}
        series={lines.map(({ values: _, ...series }) => series)} data={[Array.from({ length }, (_, at) => at + 1), ...padded]} />
      <ul class="keys">{lines.map(({ label, colour, dash }) => <li key={label} class={`${colour} ${dash ? "dashed" : ""}`}>{label}</li>)}</ul>
    </figure>
  );
}

const isMeasured = ({ values }: Line): boolean => values.some((value) => value !== null);

function linesOf(answers: readonly Answer[], readsOf: (answer: Answer) => Read[]): Line[] {
  return answers.flatMap((answer, column) => readsOf(answer).map(({ name, of }, at, all): Line => {
    const dash = DASHES[at % DASHES.length];
    return {
      label: `${column + 1} ${answer.title}${all.length > 1 ? `, ${name}` : ""}`, colour: COLOURS[column % COLOURS.length]!,
      ...(dash && { dash: [...dash] }), values: answer.tokens.map(of),
    };
  }));
}

function summary({ label, values }: Line): string {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? `${label}: nothing yet`
    : `${label}: mean ${(known.reduce((sum, value) => sum + value, 0) / known.length).toFixed(2)}, largest ${Math.max(...known).toFixed(2)}`;
}
