import { howText } from "./how.js";
import type { ScheduleInput, SteeringEntry } from "./steering.js";

/** "all", or numbers and ranges joined by "+" or ",", e.g. "4-9+12"; undefined if the text is neither. */
export function parseLayers(text: string): number[] | "all" | undefined {
  const written = text.trim();
  if (written === "" || written === "all") return "all";
  const layers: number[] = [];
  for (const part of written.split(/[+,]/)) {
    const range = /^\s*(\d{1,4})\s*(?:[-–]\s*(\d{1,4}))?\s*$/.exec(part);
    const [from, to] = [Number(range?.[1]), Number(range?.[2] ?? range?.[1])];
    if (range === null || to < from) return undefined;
    for (let layer = from; layer <= to; layer++) layers.push(layer);
  }
  return layers;
}

/** Layers as the shorthand writes them: [4, 5, 6, 12] → "4-6+12". */
export function layersText(layers: readonly number[]): string {
  const runs: Array<[number, number]> = [];
  for (const layer of layers) {
    const last = runs.at(-1);
    if (last !== undefined && layer === last[1] + 1) last[1] = layer;
    else runs.push([layer, layer]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join("+");
}

/** An entry in the shorthand of `--steer`, with `name` for the vector, and `nameOf` for the probe of its gate. */
export function shorthand({ layers, schedule, ...how }: SteeringEntry, name: string, nameOf: (probe: string) => string): string {
  return `${name}:${scheduleText(schedule)}${layers ? `,layers=${layersText(layers)}` : ""}${howText(how, nameOf)}`;
}

function scheduleText(schedule: ScheduleInput): string {
  const setting = (name: string, value: unknown): string => (value === undefined ? "" : `,${name}=${value}`);
  switch (schedule.kind) {
    case "dynamic":
      return `dyn,p=${schedule.topP}${setting("max", schedule.alphaMax)}${setting("strong", schedule.strongAlpha)}`;
    case "budget": return `budget,${schedule.nats}${setting("max", schedule.alphaMax)}${setting("per", schedule.per)}`;
    case "window": return `window,${schedule.alpha},from=${schedule.from},to=${schedule.to}`;
    case "diminishing": return `dim,${schedule.alpha}`;
    default: return `${schedule.kind},${schedule.alpha}`;
  }
}

/** A schedule in a few words, e.g. "alpha 1.5". */
export function scheduleWords(schedule: ScheduleInput): string {
  switch (schedule.kind) {
    case "dynamic": return `p ${schedule.topP}`;
    case "budget": return `at most ${schedule.nats} nats per ${schedule.per ?? "token"}`;
    default: return `alpha ${schedule.alpha}`;
  }
}
