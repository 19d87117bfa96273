import { join } from "node:path";
import { homeFolder } from "../../lib/formats/index.js";
import { models, SteeringError, type Model } from "../../lib/index.js";
import { resolveFormat } from "../../lib/prompt/index.js";
import { completions } from "../chat/completions.js";
import { converse } from "../chat/converse.js";
import type { Front } from "../chat/front.js";
import { InputHistory } from "../chat/input-history.js";
import { LineEditor } from "../chat/line-editor.js";
import { Piped } from "../chat/piped.js";
import { propertyLines } from "../chat/properties.js";
import { Session, type Settings } from "../chat/session.js";
import { loaded } from "../chat/slash-commands.js";
import { Terminal } from "../chat/terminal.js";
import { command, options, type OutputOptions, type Values } from "../command.js";
import { commandName, interruptible, note } from "../common.js";
import { openModel } from "../open-model.js";
import { count, formatGiven, formatOptions, MODEL } from "../options.js";
import { SAMPLING, samplingOf } from "../sampling-options.js";
import { SCHEDULES } from "./generate.js";
import { onStderr } from "../colours.js";
import { noteToy } from "../toy-notice.js";

const { format: _, system, ...TEMPLATE } = formatOptions();

const OPTIONS = options({
  ...MODEL,
  steer: { type: "string", array: true, describe: "Vector and schedule, see below (repeatable)" },
  system: { ...system, describe: "System message" },
  ...TEMPLATE,
  load: { type: "string", describe: "Continue a conversation saved with /save" },
  "max-new-tokens": { ...count(), default: 512, describe: "Largest number of tokens of an answer" },
  ...SAMPLING,
  history: {
    choices: ["clean", "as-generated"], default: "clean",
    describe: "How later turns read steered answers: clean (unsteered), or as-generated",
  },
  "allow-mismatch": { type: "boolean", describe: "Accept vectors of another model of the same shape" },
});

type ChatArguments = Values<typeof OPTIONS> & OutputOptions;

export default command({
  usage: "chat <model>",
  describe: "Chat with an instruct model, steered by vectors",
  options: OPTIONS,
  examples: [
    ["chat qwen2.5-coder-0.5b-instruct --steer italian.safetensors:fixed,1.5"],
    ["chat qwen2.5-coder-0.5b-instruct --system \"Answer in one sentence.\" --json < questions.txt", "one line of JSON per answer"],
  ],
  epilogue: `In the chat, /help lists the commands: /steer, /alpha, /compare, /retry, /save, ...\n\n${SCHEDULES}`,
  run,
});

async function run(given: ChatArguments): Promise<void> {
  const isTerminal = process.stdin.isTTY && process.stdout.isTTY && !given.json;
  if (!isTerminal) return interruptible((signal) => inPipes(given, signal));
  const session = await interruptible((signal) => begin(given, signal));
  await using _model = session.model;
  await inTerminal(session, given);
}

async function inPipes(given: ChatArguments, signal: AbortSignal): Promise<void> {
  const { json, quiet } = given;
  const session = await begin(given, signal);
  await using _model = session.model;
  await hold(session, new Piped(process.stdin, process.stdout, { json, quiet, signal }), given);
}

async function inTerminal(session: Session, given: ChatArguments): Promise<void> {
  const history = await InputHistory.open(join(homeFolder(), "chat-history")).catch((error: unknown) => {
    if (!(error instanceof SteeringError)) throw error;
    note(onStderr.dim(`Without the questions of earlier chats: ${error.message}`), given.quiet);
    return undefined;
  });
  const editor = new LineEditor(process.stdin, process.stdout, history, (line) => completions(line, session));
  await hold(session, new Terminal(editor, process.stdout), given);
}

async function hold(session: Session, front: Front, { load, steer, system, quiet }: ChatArguments): Promise<void> {
  try {
    const notices = load === undefined ? [] : await loaded(session, load);
    if (system !== undefined) session.system = system; // and not that of the saved chat
    for (const spec of steer) notices.push(...await session.steer(spec));
    if (front instanceof Terminal && !quiet) for (const line of greeting(session)) front.note(line);
    for (const line of notices) front.note(line);
    await converse(session, front);
  } finally {
    front.close();
  }
}

/** Loads the model. Throws E_BAD_GGUF for one that cannot chat. */
async function begin(given: ChatArguments, signal: AbortSignal): Promise<Session> {
  const { system, templateVariables = {} } = formatGiven({ ...given, format: undefined });
  const model = await openModel(given, signal);
  try {
    assertChats(model, given.model);
    noteToy(given.model, given.quiet);
    const { model: modelName, maxNewTokens, allowMismatch, history } = given;
    const settings: Settings = { modelName, sampling: await samplingOf(given), maxNewTokens, templateVariables, history, allowMismatch };
    return new Session(model, settings, system);
  } catch (error) {
    await model[Symbol.asyncDispose]();
    throw error;
  }
}

function assertChats(model: Model, name: string): void {
  if (resolveFormat(model) === "chat") return;
  const instruct = models.list().filter(({ purpose, chatTemplate }) => purpose === "generate" && !/^none|guard/.test(chatTemplate));
  throw new SteeringError("E_BAD_GGUF", `${name} has no template for conversations: chat with an instruct model, e.g. `
    + `${instruct.map((each) => each.name).join(", ")}, or use ${commandName()} generate`);
}

function greeting({ settings, model, properties, system }: Session): string[] {
  return [
    `${settings.modelName} (${model.info.quantisation}). /help lists the commands; Ctrl-D leaves.`,
    ...(system === undefined ? [] : [`System message: ${system}`]),
    ...propertyLines(properties),
  ];
}
