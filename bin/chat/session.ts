import {
  SteeringError, type Chat, type ChatMessage, type ChatOptions, type GenerationStream, type Model, type Sampling, type TurnOptions,
} from "../../lib/index.js";
import { canonicalSpec } from "../../lib/generate/index.js";
import { defined } from "../common.js";
import { steeringNotices } from "../steering-notices.js";
import type { HowAnswered } from "./front.js";
import { loadProperties, type Property } from "./properties.js";
import { readReply, type Listener, type Reply } from "./reply.js";
import type { SavedChat } from "./saved-chat.js";

/** What stays the same during a chat. */
export interface Settings extends Pick<ChatOptions, "templateVariables" | "history"> {
  /** As given on the command line. */
  modelName: string;
  sampling: Sampling;
  maxNewTokens: number;
  allowMismatch: boolean;
}

/** A chat with a model: the conversation, its system message, and the vectors that steer the answers. */
export class Session {
  /** The vectors, in the order of the readings. */
  properties: Property[] = [];
  /** Whether the vectors steer. */
  isOn = true;
  private chat: Chat;
  /** The last question, and whether the conversation has its answer. */
  private asked: { question: string; isAnswered: boolean } | undefined;
  /** Each gives the last question another seed. */
  private nRetries = 0;

  constructor(readonly model: Model, readonly settings: Settings, system?: string) {
    this.chat = this.chatFrom([]);
    this.chat.setSystem(system);
  }

  get system(): string | undefined {
    return this.chat.messages.find(({ role }) => role === "system")?.content;
  }

  /** Takes effect with the next answer. */
  set system(text: string | undefined) {
    this.chat.setSystem(text);
  }

  /** Questions and answers in turn, without the system message. */
  get messages(): ChatMessage[] {
    return this.chat.messages.filter(({ role }) => role !== "system");
  }

  /** How the next answer is steered. */
  get how(): HowAnswered {
    return { properties: this.isOn ? this.properties : [], isOff: !this.isOn && this.properties.length > 0 };
  }

  /** Adds the vectors of a specification; returns notices about them. Throws what loading them throws. */
  async steer(spec: string): Promise<string[]> {
    const added = await loadProperties(this.model, spec, this.settings.allowMismatch);
    this.properties.push(...added);
    return this.noticesOf(added);
  }

  /** Asks a question. What there is of a stopped answer is kept, nothing of one that fails. Throws what `Chat.say` throws. */
  async ask(question: string, listener: Listener): Promise<Reply> {
    this.nRetries = 0;
    this.asked = { question, isAnswered: false };
    const { length } = this.messages;
    const reply = await readReply(question, this.chat.say(question, this.turn(this.how.properties, listener.signal)), listener);
    this.asked.isAnswered = this.messages.length > length; // nothing of an answer that was stopped during its thoughts
    return reply;
  }

  /** Asks the last question again, with another seed. If that fails, the old answer is kept. Throws E_BAD_ARGUMENT without a question. */
  async retry(listener: Listener): Promise<Reply> {
    const asked = this.last();
    const turn = this.turn(this.how.properties, listener.signal, ++this.nRetries);
    const reply = await readReply(asked.question, asked.isAnswered ? this.chat.retry(turn) : this.chat.say(asked.question, turn), listener);
    asked.isAnswered = this.messages.at(-2)?.content === asked.question;
    return reply;
  }

  /** Removes the last question and its answer; returns the question. Throws E_BAD_ARGUMENT if there is none. */
  undo(): string {
    const removed = this.chat.undo();
    if (!removed) throw new SteeringError("E_BAD_ARGUMENT", "nothing to undo: the conversation is empty");
    this.asked = lastOf(this.messages);
    return removed.content;
  }

  /** Begins a new conversation under the same system message and steering. */
  clear(): void {
    this.begin(this.system, []);
  }

  /** Starts to answer the last question again beside the chat, steered by these vectors. Throws E_BAD_ARGUMENT without a question. */
  again(properties: readonly Property[], signal: AbortSignal): { question: string; stream: GenerationStream } {
    const { question, isAnswered } = this.last();
    const before = this.chat.messages.slice(0, isAnswered ? -2 : undefined);
    return { question, stream: this.chatFrom(before).say(question, this.turn(properties, signal)) };
  }

  /** The chat as `/save` writes it. */
  saved(): SavedChat {
    const steering = this.properties.map(({ steering }) => canonicalSpec(steering, undefined));
    const { system = null, isOn: steeringOn } = this;
    return { version: 1, model: this.settings.modelName, system, messages: this.messages as SavedChat["messages"], steering, steeringOn };
  }

  /** Replaces the whole chat; returns notices about its vectors. If a vector cannot be used, nothing changes, and this throws why. */
  async load({ system, messages, steering, steeringOn }: SavedChat): Promise<string[]> {
    const properties = steering.length === 0 ? [] : await loadProperties(this.model, steering, this.settings.allowMismatch);
    this.properties = properties;
    this.isOn = steeringOn;
    this.begin(system ?? undefined, messages);
    return this.noticesOf(properties);
  }

  /** What to know about vectors that were not made in a chat like this, or are far too strong. */
  private noticesOf(properties: readonly Property[]): Promise<string[]> {
    const used = { format: "chat", ...defined({ templateVariables: this.settings.templateVariables }) } as const;
    const names = new Map(properties.map(({ name, steering }) => [steering, name]));
    return steeringNotices([...names.keys()], used, (steering) => names.get(steering)!);
  }

  private begin(system: string | undefined, messages: readonly ChatMessage[]): void {
    this.chat = this.chatFrom(messages);
    this.chat.setSystem(system);
    this.asked = lastOf(messages);
  }

  private last(): { question: string; isAnswered: boolean } {
    if (!this.asked) throw new SteeringError("E_BAD_ARGUMENT", "ask a question first");
    return this.asked;
  }

  private turn(properties: readonly Property[], signal: AbortSignal, nRetries = this.nRetries): TurnOptions {
    const { sampling, maxNewTokens, allowMismatch } = this.settings;
    const seed = ((sampling.seed ?? 0) + nRetries) % 2 ** 31;
    const steer = properties.map(({ steering }) => steering);
    return { steer, sampling: { ...sampling, seed }, maxNewTokens, allowMismatch, keepPartial: true, signal };
  }

  private chatFrom(messages: readonly ChatMessage[]): Chat {
    const { templateVariables = {}, history = "clean" } = this.settings;
    return this.model.chat({ messages, templateVariables, history });
  }
}

function lastOf(messages: readonly ChatMessage[]): { question: string; isAnswered: true } | undefined {
  const question = messages.at(-2)?.content;
  return question === undefined ? undefined : { question, isAnswered: true };
}
