import type { Answer, ShownToken } from "../state/answer.js";
import { latest } from "../state/run.js";
import { probes, scale } from "../state/store.js";
import { Plot, type Colour, type Series } from "./plot.js";

const COLOURS: readonly Colour[] = ["third", "second", "accent"];
/** One per property. */
const DASHES = [undefined, [6, 4], [2, 3], [10, 3, 2, 3]] as const;

interface Line extends Series {
  values: Array<number | null>;
}

/** Alpha and KL of every token, one line per column and property; and what the probes read, one per column and probe. */
export function Charts() {
  const answers = latest()?.answers ?? [];
  for (const { slowVersion } of answers) void slowVersion.value;
  const ofProperties = ({ titles }: Answer): readonly string[] => titles;
  const alphas = linesOf(answers, ofProperties, ({ readings }, at) => readings[at]?.alpha ?? null);
  const kls = linesOf(answers, ofProperties, ({ readings }, at) => readings[at]?.kl ?? null).filter(isMeasured);
  const read = linesOf(answers, (answer) => answer.probes.map(({ title }) => title), ({ monitors }, at) => monitors?.[at] ?? null);
  return (
    <div class="charts">
      <Chart title="Alpha per token" lines={alphas} max={scale.value} note="how strongly the vector was added" />
      <Chart title="KL per token" lines={kls} note="how much the vector would change it" />
      {(read.length > 0 || probes.value.length > 0) && (
        <Chart title="Probes per token" lines={read} max={1} note="probability of what it looks for" />
      )}
    </div>
  );
}

function Chart({ title, lines, note, max }: { title: string; lines: readonly Line[]; note: string; max?: number }) {
  const length = Math.max(20, ...lines.map(({ values }) => values.length));
  const padded = lines.map(({ values }) => [...values, ...Array<null>(length - values.length).fill(null)]);
  return (
    <figure>
      <figcaption><b>{title}</b> <span>{note}</span></figcaption>
      <Plot height={132} label={`${title}: ${lines.map(summary).join("; ") || "nothing yet"}`} isWhole {...(max !== undefined && { max })}
        series={lines.map(({ values: _, ...series }) => series)} data={[Array.from({ length }, (_, at) => at + 1), ...padded]} />
      <ul class="keys">{lines.map(({ label, colour, dash }) => <li key={label} class={`${colour} ${dash ? "dashed" : ""}`}>{label}</li>)}</ul>
    </figure>
  );
}

const isMeasured = ({ values }: Line): boolean => values.some((value) => value !== null);

function linesOf(
  answers: readonly Answer[], namesOf: (answer: Answer) => readonly string[], read: (token: ShownToken, at: number) => number | null,
): Line[] {
  return answers.flatMap((answer, column) => namesOf(answer).map((name, at, names): Line => {
    const dash = DASHES[at % DASHES.length];
    return {
      label: `${column + 1} ${answer.title}${names.length > 1 ? `, ${name}` : ""}`, colour: COLOURS[column % COLOURS.length]!,
      ...(dash && { dash: [...dash] }), values: answer.tokens.map((token) => read(token, at)),
    };
  }));
}

function summary({ label, values }: Line): string {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? `${label}: nothing yet`
    : `${label}: mean ${(known.reduce((sum, value) => sum + value, 0) / known.length).toFixed(2)}, largest ${Math.max(...known).toFixed(2)}`;
}
