import { homedir } from "node:os";
import { resolve } from "node:path";
import { nearestName } from "../../lib/formats/index.js";
import { SteeringError } from "../../lib/index.js";
import { strengthNotice } from "../../lib/vector/index.js";
import { counted, createdFolder } from "../common.js";
import { answer } from "./answer.js";
import { compare } from "./compare.js";
import type { Front } from "./front.js";
import { findProperty, propertyLines, setStrength, strengthOf } from "./properties.js";
import { readChat, writeChat } from "./saved-chat.js";
import type { Session } from "./session.js";

interface SlashCommand {
  /** The name without the slash. */
  name: string;
  /** As `/help` shows its arguments. */
  args?: string;
  describe: string;
  /** `rest`: what follows the name. Returns lines to show. */
  run: (session: Session, rest: string, front: Front) => string | readonly string[] | Promise<string | readonly string[] | void>;
}

/** Ends the chat. */
const QUIT = "quit";

/** In the order of `/help`. */
export const SLASH_COMMANDS: readonly SlashCommand[] = [
  {
    name: "steer", args: "FILE[:SCHEDULE]", describe: "Add a vector, e.g. /steer italian.safetensors:fixed,1.5 or /steer cheerful",
    run: async (session, rest) => {
      const notices = await session.steer(requiredFile(rest, "/steer FILE:SCHEDULE, e.g. /steer italian.safetensors:fixed,1.5"));
      return [...notices, ...listed(session)];
    },
  },
  {
    name: "alpha", args: "[NAME ALPHA]", describe: "Change a strength, e.g. /alpha italian 0.8 or dyn,p=0.3; alone: list them",
    run: (session, rest) => {
      if (rest === "") return listed(session);
      const [, word, strength] = /^(.*\S)\s+(\S+)$/s.exec(rest) ?? [];
      if (word === undefined || strength === undefined) throw usage("/alpha NAME ALPHA, e.g. /alpha italian 0.8", rest);
      const property = findProperty(session.properties, word);
      setStrength(property, strength);
      const { name, steering: { schedule } } = property;
      return [strengthNotice(name, strengthOf(property), schedule) ?? [], listed(session)].flat();
    },
  },
  {
    name: "drop", args: "NAME", describe: "Remove a vector",
    run: (session, rest) => {
      const dropped = findProperty(session.properties, required(rest, "/drop NAME"));
      session.properties = session.properties.filter((each) => each !== dropped);
      return listed(session);
    },
  },
  { name: "off", describe: "Answer unsteered", run: (session) => switched(session, false) },
  { name: "on", describe: "Steer again", run: (session) => switched(session, true) },
  {
    name: "compare", describe: "Answer the last question unsteered and steered; the chat stays as it is",
    run: (session, _, front) => compare(session, front),
  },
  {
    name: "retry", describe: "Answer the last question again",
    run: async (session, _, front) => {
      const old = session.messages.at(-1)?.content;
      const { text } = await answer(session, front, (listener) => session.retry(listener));
      if (text === old) return "The same answer. Change the steering, or start the chat with --temperature 0.8.";
    },
  },
  { name: "undo", describe: "Forget the last question and its answer", run: (session) => `Forgotten: ${firstLine(session.undo())}` },
  {
    name: "system", args: "[TEXT | -]", describe: "Set the system message, or remove it (-); alone: show it",
    run: (session, rest) => {
      if (rest !== "") session.system = rest === "-" ? undefined : rest;
      return session.system === undefined ? "No system message." : `System message: ${session.system}`;
    },
  },
  {
    name: "clear", describe: "Begin a new conversation; steering and system message stay",
    run: (session) => {
      session.clear();
      return "A new conversation.";
    },
  },
  {
    name: "save", args: "FILE", describe: "Save the conversation, its system message and steering as JSON",
    run: async (session, rest) => {
      const path = requiredFile(rest, "/save FILE, e.g. /save chat.json");
      const created = await writeChat(path, session.saved());
      return [...(created === undefined ? [] : [createdFolder(created, path)]), `Saved to ${resolve(path)}`];
    },
  },
  {
    name: "load", args: "FILE", describe: "Continue a saved conversation",
    run: async (session, rest) => loaded(session, requiredFile(rest, "/load FILE, e.g. /load chat.json")),
  },
  { name: "help", describe: "List the commands", run: () => helpLines() },
  { name: QUIT, describe: "Leave; so do exit, quit and Ctrl-D", run: () => [] },
];

/** Words that leave the chat, because nobody asks them. */
const LEAVING: readonly string[] = ["exit", QUIT];

/** Whether an input is a command; what begins with a space is a question. */
export function isCommand(input: string): boolean {
  return input.startsWith("/") || LEAVING.includes(input);
}

/** Runs a command; returns false if it ends the chat. Throws E_BAD_ARGUMENT for an unknown one, and what the command throws. */
export async function runSlashCommand(input: string, session: Session, front: Front): Promise<boolean> {
  if (LEAVING.includes(input)) return false;
  const [, name = "", rest = ""] = /^\/(\S*)\s*(.*?)\s*$/s.exec(input) ?? [];
  const command = SLASH_COMMANDS.find((each) => each.name === name);
  if (!command) {
    const near = nearestName(name, SLASH_COMMANDS.map((each) => each.name));
    throw new SteeringError("E_BAD_ARGUMENT",
      `unknown command /${name}${near ? `; did you mean /${near}?` : "."} /help lists the commands; begin a question with a space`);
  }
  const lines = await command.run(session, rest, front);
  for (const line of typeof lines === "string" ? [lines] : lines ?? []) front.note(line);
  return name !== QUIT;
}

/** Loads a saved chat; returns what to tell about it. Throws what `readChat` and `Session.load` throw. */
export async function loaded(session: Session, path: string): Promise<string[]> {
  const chat = await readChat(path);
  const notices = await session.load(chat);
  const { modelName } = session.settings;
  const other = chat.model === modelName ? [] : [`This conversation was held with ${chat.model}; ${modelName} continues it.`];
  const n = chat.messages.length / 2;
  const steering = chat.steering.length > 0 ? listed(session) : [];
  return [...other, ...notices, `Loaded ${counted(n, "question")}, with the answers.`, ...steering];
}

function helpLines(): string[] {
  const usages = SLASH_COMMANDS.map(({ name, args }) => `/${name}${args === undefined ? "" : ` ${args}`}`);
  const width = Math.max(...usages.map((each) => each.length));
  return [
    ...SLASH_COMMANDS.map(({ describe }, index) => `${usages[index]!.padEnd(width)}  ${describe}`),
    "A line that ends in \\ continues on the next one. Ctrl-C stops an answer.",
  ];
}

function listed({ properties, isOn }: Session): string[] {
  if (properties.length === 0) return ["No vector steers this chat; add one with /steer FILE."];
  return [...propertyLines(properties), ...(isOn ? [] : ["Steering is off; /on turns it on."])];
}

function switched(session: Session, isOn: boolean): string[] {
  session.isOn = isOn;
  return isOn || session.properties.length === 0 ? listed(session) : ["Steering is off; /on turns it on."];
}

function required(rest: string, expected: string): string {
  if (rest === "") throw usage(expected, "nothing");
  return rest;
}

/** A file as the user names it; no shell stands between to replace the tilde. */
function requiredFile(rest: string, expected: string): string {
  return required(rest, expected).replace(/^~(?=[\\/]|$)/, homedir);
}

function usage(expected: string, found: string): SteeringError {
  return new SteeringError("E_BAD_ARGUMENT", `expected ${expected}; found ${found}`);
}

function firstLine(text: string): string {
  const [line = "", ...more] = text.split("\n");
  return more.length > 0 ? `${line} …` : line;
}
