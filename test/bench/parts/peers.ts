import { parseArgs } from "node:util";
import { availableProcessors } from "../../../lib/engine/processors.js";
import { findPullable } from "../../../lib/models/pull.js";
import { isNamedModel } from "../../../lib/models/index.js";
import { modelPath } from "../../../lib/models/registry.js";
import { describeMachine, machineLine } from "./machine.js";
import { measureRounds, ratios, spread, type Measure } from "./rounds.js";

export interface PeerOptions {
  path: string;
  rounds: number;
  tokens: number;
  threads: number;
}

/** Reads `[MODEL] [--rounds N] [--tokens N] [--threads N]`: a name or the path of a GGUF, by default tiny. */
export function peerOptions(args: readonly string[]): PeerOptions {
  const text = { type: "string" } as const;
  const { values, positionals: [name = "tiny", ...rest] } = parseArgs({
    args: [...args], allowPositionals: true, options: { rounds: text, tokens: text, threads: text },
  });
  if (rest.length > 0) throw new Error(`one model, not also ${rest.join(" ")}`);
  const number = (key: keyof typeof values, otherwise: number): number => {
    const given = Number(values[key] ?? otherwise);
    const least = key === "rounds" ? 0 : 1; // 0: only the warm-up
    if (!Number.isInteger(given) || given < least) throw new Error(`--${key} ${values[key]}: expected an integer of at least ${least}`);
    return given;
  };
  const path = isNamedModel(name) ? modelPath(findPullable(name)) : name;
  return { path, rounds: number("rounds", 5), tokens: number("tokens", 32), threads: number("threads", availableProcessors()) };
}

/** A side by side: what is measured, its yardstick, and the least ratio that an issue asks for. */
export interface Pair {
  ours: string;
  theirs: string;
  bar?: number;
}

/** Measures the rows in rounds and prints a Markdown table with a line per pair: tokens per second, and the ratio paired by round. */
export async function printPairs(measure: Measure<string>, pairs: readonly Pair[], rounds: number): Promise<void> {
  const measured = await measureRounds(measure, rounds);
  const rate = (name: string): string => (1 / spread(measured[name]!.map(({ seconds }) => seconds)).median).toPrecision(3);
  console.log(`${machineLine(describeMachine())}; ${new Date().toISOString().slice(0, 10)}; ${rounds} rounds\n`);
  console.log("| llama-steer | tokens/s | beside | tokens/s | ratio, median (range) |\n|---|---|---|---|---|");
  for (const { ours, theirs, bar } of pairs) {
    const { median, min, max } = spread(ratios(measured[ours]!, measured[theirs]!));
    console.log(`| ${ours} | ${rate(ours)} | ${theirs} | ${rate(theirs)} | ${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})${
      bar === undefined ? "" : `, bar ${bar}`} |`);
  }
}
