import { evaluate, type Knowledge } from "../lib/experiments.js";
import type { SteerInput } from "../lib/index.js";
import { resolveFormat } from "../lib/prompt/index.js";
import { command, options, type OutputOptions, type Values } from "./command.js";
import { counted, defined, interruptible, print } from "./common.js";
import { openModel } from "./open-model.js";
import { formatGiven, formatOptions, MODEL } from "./options.js";
import { showProgress } from "./progress.js";
import { printColumns } from "./run-table.js";
import { readSteer } from "./steer-option.js";
import { noteSteering } from "./steering-notices.js";
import { noteToy } from "./toy-notice.js";

const OPTIONS = options({
  ...MODEL,
  ...formatOptions(),
  steer: { type: "string", array: true, describe: "Vector and schedule, as generate takes it (repeatable)" },
  questions: {
    type: "string", describe: "JSON file with a list of {question, right, wrong: [...]}", defaultDescription: "60 everyday facts",
  },
});

/** Measures what steering costs in knowledge. */
export default command({
  usage: "facts <model>",
  describe: "Measure what a model knows, unsteered and steered",
  options: OPTIONS,
  examples: [["evaluate facts gemma3-270m --steer italian.safetensors:fixed,1"]],
  run: (given) => interruptible((signal) => run(given, signal)),
});

async function run(given: Values<typeof OPTIONS> & OutputOptions, signal: AbortSignal): Promise<void> {
  const questions = await evaluate.loadChoices(...(given.questions === undefined ? [] : [given.questions]));
  const steerers = await Promise.all(given.steer.map(readSteer));
  await using model = await openModel(given, signal, { maxSequences: 32, contextSize: 8192 });
  noteToy(given.model, given.quiet);
  const steer = (await Promise.all(steerers.map((steerer) => steerer(model)))).flat();
  const how = formatGiven(given);
  await noteSteering(steer, { ...how, format: resolveFormat(model, how.format) }, given.quiet);
  const measure = async (label: string, more: { steer?: SteerInput }): Promise<Knowledge> => {
    const progress = showProgress(label, given.quiet, "answers");
    return evaluate.knowledge(model, { ...how, ...more, questions, signal, onProgress: progress.onProgress })
      .finally(() => progress.stop());
  };
  const unsteered = await measure("unsteered", {});
  const steered = steer.length === 0 ? undefined : await measure("steered", { steer });
  const change = steered && evaluate.knowledgeChange(unsteered, steered);
  if (given.json) return print(JSON.stringify({ model: given.model, unsteered, ...defined({ steered, change }) }, null, 2));
  printColumns([
    ["", "right [95 %]", "margin (nats per byte)"], row("unsteered", unsteered), ...(steered ? [row("steered", steered)] : []),
  ]);
  if (change) print(`${counted(change.lost, "answer")} lost and ${change.won} won by steering (McNemar's exact test: p = ${change.p.toPrecision(2)})`);
}

function row(label: string, { share, margin, correct }: Knowledge): string[] {
  const [value, low, high] = [share.value, share.low, share.high].map((each) => Math.round(100 * each));
  return [label, `${value} % [${low}, ${high}] of ${correct.length}`, margin.toFixed(3)];
}
