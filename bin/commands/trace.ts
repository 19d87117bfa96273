import { basename } from "node:path";
import type { GeneratedToken, GenerationResult, Probe, Reading, SteeringSpec } from "../../lib/index.js";
import { bar, columnsOf } from "../alpha-strip.js";
import { command } from "../command.js";
import { counted, interruptible, note, print } from "../common.js";
import { alphaScale, closing, follow, GENERATION, SCHEDULES, startGeneration, type GenerateArguments } from "./generate.js";
import { onStdout } from "../colours.js";

/** Columns of the token's text, of a bar, and of a number. */
const [TEXT, BAR, NUMBER] = [16, 12, 6];

export default command({
  usage: "trace <model> [prompt]",
  describe: "Answer a question and show alpha and KL for every token",
  options: GENERATION,
  examples: [
    ["trace gemma3-270m \"What do bees make?\" --steer italian.safetensors:dyn,p=0.3"],
    ["trace gemma3-270m \"What do bees make?\" --steer italian.safetensors:dyn --json", "one line of JSON per token"],
  ],
  epilogue: SCHEDULES,
  run: (given) => interruptible((signal) => run(given, signal)),
});

async function run(options: GenerateArguments, signal: AbortSignal): Promise<void> {
  const { json, quiet } = options;
  await using started = await startGeneration(options, signal, { logProbabilities: true });
  const { specs } = started;
  let isHeaded = json;
  const result = await follow(started.tokens, (token) => {
    // Only now is it known that all can be steered as asked.
    if (!isHeaded) print(onStdout.bold(heading(specs, started.probes)));
    isHeaded = true;
    if (token) print(json ? JSON.stringify(token) : line(token, specs, new TextDecoder().decode(started.model.detokenise([token.token]))));
  });
  if (!json) print(`\n${result.text.trim()}`);
  note(`${closing(result, started.stop)}; ${work(result)}`, quiet);
}

/** E.g. "41 decodes, 103 rows, 19 of 21 guessed tokens right". */
function work({ work: { decodes, rows, guesses, hits } }: GenerationResult): string {
  const right = guesses > 0 ? `, ${hits} of ${counted(guesses, "guessed token")} right` : "";
  return `${counted(decodes, "decode")}, ${counted(rows, "row")}${right}`;
}

function heading(specs: readonly SteeringSpec[], probes: readonly Probe[]): string {
  const property = (spec: SteeringSpec): string => {
    const name = basename(spec.vector).replace(/\.safetensors$/, "").slice(0, BAR + NUMBER - 6);
    const gate = spec.gate ? "gate".padEnd(NUMBER + 4) : "";
    return `${`alpha ${name}`.padEnd(BAR + NUMBER + 1)}  ${measures(spec) ? `${"KL".padEnd(BAR + NUMBER + 1)}  ` : ""}${gate}`;
  };
  const monitor = ({ provenance }: Probe): string => `P(${provenance.positive.name})`.padEnd(NUMBER + 4);
  const columns = [...specs.map(property), ...probes.map(monitor)].join("");
  return `step  ${"token".padEnd(TEXT)}  ${"p".padStart(NUMBER - 1)}   ${columns}`.trimEnd();
}

function line({ step, logProbability, readings, monitors = [] }: GeneratedToken, specs: readonly SteeringSpec[], text: string): string {
  const shown = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("�", "…");
  const cut = [...shown].reduce((kept, character) => (columnsOf(kept + character) <= TEXT ? kept + character : kept), "");
  const probability = Math.exp(logProbability!).toFixed(3).padStart(NUMBER - 1);
  const probabilities = monitors.map((p) => p.toFixed(3).padEnd(NUMBER + 4));
  const columns = [...specs.map((spec, index) => property(spec, readings[index]!)), ...probabilities].join("");
  return `${String(step).padStart(4)}  ${cut}${" ".repeat(TEXT - columnsOf(cut))}  ${probability}   ${columns}`.trimEnd();
}

/** Alpha in cyan and KL in yellow, both relative to the largest alpha of the schedule; then the probability that the gate read. */
function property(spec: SteeringSpec, { alpha, kl, gate }: Reading): string {
  const most = alphaScale(spec);
  const cell = (value: number | null, colour: (text: string) => string): string =>
    `${colour(bar(Math.abs(value ?? 0), most, BAR))} ${(value?.toFixed(2) ?? "–").padStart(NUMBER)}  `;
  const read = spec.gate ? (gate?.probability.toFixed(3) ?? "–").padEnd(NUMBER + 4) : "";
  return `${cell(alpha, onStdout.cyan)}${measures(spec) ? cell(kl, onStdout.yellow) : ""}${read}`;
}

function measures({ schedule }: SteeringSpec): boolean {
  return schedule.kind === "dynamic" || schedule.kind === "budget";
}
