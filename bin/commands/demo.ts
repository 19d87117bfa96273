import { join } from "node:path";
import { datasets, experiment, type Answer } from "../../lib/experiments.js";
import { assertWritable, homeFolder, writeFileAtomic } from "../../lib/formats/index.js";
import { loadDataset, models, SteeringError, type Model } from "../../lib/index.js";
import { ownDatasets } from "../../lib/models/index.js";
import { resolveFormat } from "../../lib/prompt/index.js";
import { serve } from "../../lib/server.js";
import { command, options, type OutputOptions, type Values } from "../command.js";
import { commandName, defined, interruptible, note, print } from "../common.js";
import { onStderr, onStdout } from "../colours.js";
import { extractProperties, readyProperties, type DemoProperty } from "../demo-properties.js";
import { openModel } from "../open-model.js";
import { count, MACHINE } from "../options.js";
import { openPage, untilStopped } from "../serving.js";
import { noteToy } from "../toy-notice.js";
import { wrapped } from "../wrapped.js";

const UNSTEERED = "unsteered";
const DEFAULT_MODEL = "qwen2.5-coder-1.5b-instruct";
/** Without network access: the first of these that is here. */
const FALLBACKS = ["qwen2.5-coder-0.5b-instruct", "gemma3-270m", "tiny"];

/** No vector of ours was made from these. */
const QUESTIONS = [
  "Why do leaves change colour in autumn?",
  "What is a good way to learn a language?",
  "What should I pack for a weekend in the mountains?",
  "How can I save money on groceries?",
  "How does a microwave heat food?",
  "Tell me about breakfast.",
];

const OPTIONS = options({
  ...MACHINE,
  model: {
    type: "string", describe: "Model: a name from `models list`, an hf: address, or a path to a GGUF",
    defaultDescription: `${DEFAULT_MODEL}; without network access, a smaller one`,
  },
  questions: { ...count(), default: 3, describe: `Number of questions to answer, up to ${QUESTIONS.length}` },
  open: { type: "boolean", describe: "Then serve the model and its vectors, and open the page in your browser" },
  extract: { type: "boolean", describe: "Extract the vectors even if the package has ready-made ones for the model" },
  "max-new-tokens": { ...count(), default: 40, describe: "Largest number of tokens per answer" },
  out: { type: "string", describe: "Folder for the results, and for extracted vectors", defaultDescription: "runs/demo-TIME" },
});

type DemoArguments = Values<typeof OPTIONS> & OutputOptions;

/** The first thing that a newcomer sees; `npm start` runs it. */
export default command({
  usage: "demo [model]",
  describe: "Compare answers steered towards three properties",
  options: OPTIONS,
  run: async (given) => {
    const shown = await interruptible((signal) => run(given, signal));
    if (given.open) await openDemo(given, shown);
  },
});

/** What was shown, and where the vectors are; without a folder, they are the package's. */
interface Shown {
  model: string;
  vectors: string | undefined;
}

async function run(options: DemoArguments, signal: AbortSignal): Promise<Shown> {
  const { maxNewTokens, quiet, json } = options;
  const out = options.out ?? join("runs", `demo-${new Date().toISOString().replace(/[:.]/g, "-").slice(0, 19)}`);
  const resultsPath = join(out, "results.json");
  await questionsFor(options.model ?? DEFAULT_MODEL, options.questions);
  await assertWritable(resultsPath);

  const { model, name } = await openDemoModel(options, signal);
  await using _ = model;
  noteToy(name, quiet);
  const questions = await questionsFor(name, options.questions);
  const ready = options.extract ? [] : await readyProperties(model);
  if (ready.length === 0) note(`Extracting three vectors from ${name}`, quiet);
  const how = { datasets: datasets.folder(name), maxNewTokens, quiet, signal };
  const properties = ready.length > 0 ? ready : await extractProperties(model, out, how);

  const settings = [{ label: UNSTEERED, steer: [] }, ...properties.map(({ label, steering }) => ({ label, steer: [steering] }))];
  const shown = showAnswers(settings.map(({ label }) => label));
  note(`${name} (${model.info.quantisation}), unsteered and steered by ${ready.length > 0 ? "ready-made" : "these"} vectors`, quiet);
  const onAnswer = (answer: Answer): void => { if (!json) shown(answer); };
  const answers = await experiment.compare(model, questions, settings, { maxNewTokens, atOnce: true, signal, onAnswer });
  const results = {
    model: name, quantisation: model.info.quantisation, format: resolveFormat(model), answers,
    properties: properties.map(({ label, steer, steering }) => (
      { label, steer, schedule: steering.schedule, provenance: steering.vector.provenance }
    )),
  };
  await writeFileAtomic(resultsPath, `${JSON.stringify(results, null, 2)}\n`);
  const done = { model: name, vectors: ready.length > 0 ? undefined : out };
  if (json) print(JSON.stringify(results, null, 2));
  else showNextSteps(done, properties, { question: questions.at(-1)!, canChat: resolveFormat(model) === "chat" });
  return done;
}

/** Serves the demo's model and vectors until Ctrl-C, and opens the page. */
async function openDemo(
  { quiet, threads, gpuLayers, rpc }: DemoArguments, { model, vectors = join(homeFolder(), "vectors") }: Shown,
): Promise<void> {
  const server = await serve({ models: [model], port: 0, vectors, load: defined({ threads, gpuLayers, rpc }) });
  const ending = untilStopped(server, quiet);
  note(`\nThe page is at ${server.url}. Ctrl-C ends it.`, quiet);
  await openPage(server, quiet);
  await ending;
}

/** The first questions of the list, or those that the model was trained to answer. Throws E_BAD_ARGUMENT if there are fewer. */
async function questionsFor(model: string, count: number): Promise<string[]> {
  const own = ownDatasets(model);
  const questions = own === undefined ? QUESTIONS : (await loadDataset("ITA_test", own)).rows.map(({ input }) => input);
  if (count <= questions.length) return questions.slice(0, count);
  throw new SteeringError("E_BAD_ARGUMENT", `--questions ${count} is too many: there are ${questions.length}`);
}

/** The model on the command line; otherwise the default model or, if its download fails, one that is here. */
async function openDemoModel(options: DemoArguments, signal: AbortSignal): Promise<{ model: Model; name: string }> {
  const open = async (name: string) => ({ name, model: await openModel({ ...options, model: name }, signal) });
  if (options.model !== undefined) return open(options.model);
  return open(DEFAULT_MODEL).catch((error: unknown) => {
    if (!(error instanceof SteeringError) || error.code !== "E_DOWNLOAD") throw error;
    const here = FALLBACKS.find((name) => models.isInstalled(models.find(name)))!;
    note(`${error.message}\n${onStderr.bold("Offline:")} using ${here}`, options.quiet);
    return open(here);
  });
}

/** Prints each answer after its question. */
function showAnswers(labels: readonly string[]): (answer: Answer) => void {
  const margin = Math.max(...labels.map((label) => label.length)) + 2;
  const width = Math.max(20, Math.min(process.stdout.columns ?? 100, 110) - margin - 1);
  return ({ setting, question, text, finishReason }) => {
    if (setting === UNSTEERED) print(`\n${onStdout.bold(question)}`);
    const lines = wrapped(onOneLine(finishReason === "length" ? `${text.trimEnd()} …` : text), width);
    lines.forEach((line, index) => print(`${onStdout.dim((index === 0 ? setting : "").padEnd(margin))}${line}`));
  };
}

function onOneLine(text: string): string {
  return text.trim().replace(/\s*\n+\s*/g, " ↵ ");
}

function showNextSteps(
  { model, vectors }: Shown, properties: readonly DemoProperty[], { question, canChat }: { question: string; canChat: boolean },
): void {
  const steer = properties[0]!.steer;
  const next = canChat ? `chat ${quoted(model)} --steer ${quoted(steer)}` : `generate ${quoted(model)} "${question}" --steer ${quoted(steer)}`;
  print(`\n${canChat ? "Chat with the same model and vector" : "Ask it yourself"}:\n  ${commandName()} ${next}`);
  const folder = vectors === undefined ? "" : ` --vectors ${quoted(vectors)}`;
  print(`\nSee it token by token, in your browser:\n  ${commandName()} serve ${quoted(model)}${folder} --open`);
}

/** In quotes if a shell would split it. */
function quoted(text: string): string {
  return /\s/.test(text) ? `"${text}"` : text;
}
