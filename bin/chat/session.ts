import {
  SteeringError, type Chat, type ChatMessage, type GenerationStream, type Model, type Sampling, type TemplateVariables,
} from "../../lib/index.js";
import type { HowAnswered } from "./front.js";
import { formatNotice, loadProperties, type Property } from "./properties.js";
import { readReply, type Listener, type Reply } from "./reply.js";
import type { SavedChat } from "./saved-chat.js";

/** What stays the same during a chat. */
export interface Settings {
  /** As given on the command line. */
  modelName: string;
  sampling: Sampling;
  maxNewTokens: number;
  templateVariables: TemplateVariables;
  allowMismatch: boolean;
}

/** A chat with a model: the conversation, its system message, and the vectors that steer the answers. */
export class Session {
  /** The vectors, in the order of the readings. */
  properties: Property[] = [];
  /** Whether the vectors steer. */
  isOn = true;
  private chat: Chat;
  private systemText: string | undefined;
  /** The last question, and whether the conversation has its answer. */
  private asked: { question: string; isAnswered: boolean } | undefined;
  /** Each gives the last question another seed. */
  private nRetries = 0;

  constructor(readonly model: Model, readonly settings: Settings, system?: string) {
    this.systemText = system;
    this.chat = this.chatFrom([]);
  }

  get system(): string | undefined {
    return this.systemText;
  }

  /** Takes effect with the next answer. */
  set system(text: string | undefined) {
    const said = this.messages;
    this.systemText = text;
    this.chat = this.chatFrom(said);
  }

  /** Questions and answers in turn, without the system message. */
  get messages(): ChatMessage[] {
    return this.chat.messages.slice(this.systemText === undefined ? 0 : 1);
  }

  /** How the next answer is steered. */
  get how(): HowAnswered {
    return { properties: this.isOn ? this.properties : [], isOff: !this.isOn && this.properties.length > 0 };
  }

  /** Adds the vectors of a specification; returns notices about them. Throws what loading them throws. */
  async steer(spec: string): Promise<string[]> {
    const added = await loadProperties(this.model, spec, this.settings.allowMismatch);
    this.properties.push(...added);
    return added.flatMap((property) => formatNotice(property) ?? []);
  }

  /** Asks a question. An answer that is stopped is kept as far as it got, one that fails not at all. Throws what `Chat.say` throws. */
  async ask(question: string, listener: Listener): Promise<Reply> {
    this.nRetries = 0;
    return this.answer(question, listener);
  }

  /** Asks the last question again, with another seed. If that fails, the old answer is kept. Throws E_BAD_ARGUMENT without a question. */
  async retry(listener: Listener): Promise<Reply> {
    const { question, before } = this.last();
    const { chat, asked } = this;
    this.chat = this.chatFrom(before);
    this.nRetries++;
    try {
      return await this.answer(question, listener);
    } catch (error) {
      this.chat = chat;
      this.asked = asked;
      throw error;
    }
  }

  /** Removes the last question and its answer; returns the question. Throws E_BAD_ARGUMENT if there is none. */
  undo(): string {
    const { messages } = this;
    const question = messages.at(-2)?.content;
    if (question === undefined) throw new SteeringError("E_BAD_ARGUMENT", "nothing to undo: the conversation is empty");
    this.chat = this.chatFrom(messages.slice(0, -2));
    this.asked = lastOf(this.messages);
    return question;
  }

  /** Begins a new conversation under the same system message and steering. */
  clear(): void {
    this.chat = this.chatFrom([]);
    this.asked = undefined;
  }

  /** Starts to answer the last question again beside the chat, steered by these vectors. Throws E_BAD_ARGUMENT without a question. */
  again(properties: readonly Property[], signal: AbortSignal): { question: string; stream: GenerationStream } {
    const { question, before } = this.last();
    return { question, stream: this.chatFrom(before).say(question, this.turn(properties, signal)) };
  }

  /** The chat as `/save` writes it. */
  saved(): SavedChat {
    const steering = this.properties.map(({ steering: { vector, ...how } }) => ({ ...how, vector: vector.path! }));
    const { systemText: system = null, isOn: steeringOn } = this;
    return { version: 1, model: this.settings.modelName, system, messages: this.messages as SavedChat["messages"], steering, steeringOn };
  }

  /** Replaces the whole chat; returns notices about its vectors. If a vector cannot be used, nothing changes, and this throws why. */
  async load({ system, messages, steering, steeringOn }: SavedChat): Promise<string[]> {
    const properties = steering.length === 0 ? [] : await loadProperties(this.model, steering, this.settings.allowMismatch);
    this.properties = properties;
    this.isOn = steeringOn;
    this.systemText = system ?? undefined;
    this.chat = this.chatFrom(messages);
    this.asked = lastOf(messages);
    return properties.flatMap((property) => formatNotice(property) ?? []);
  }

  private async answer(question: string, listener: Listener): Promise<Reply> {
    this.asked = { question, isAnswered: false };
    const before = this.messages;
    const reply = await readReply(question, this.chat.say(question, this.turn(this.how.properties, listener.signal)), listener);
    if (reply.finishReason === "interrupted") {
      this.chat = this.chatFrom([...before, { role: "user", content: question }, { role: "assistant", content: reply.text }]);
    }
    this.asked.isAnswered = true;
    return reply;
  }

  /** The last question, and the messages before it. */
  private last(): { question: string; before: ChatMessage[] } {
    const { asked, messages } = this;
    if (!asked) throw new SteeringError("E_BAD_ARGUMENT", "ask a question first");
    return { question: asked.question, before: asked.isAnswered ? messages.slice(0, -2) : messages };
  }

  private turn(properties: readonly Property[], signal: AbortSignal) {
    const { sampling, maxNewTokens, allowMismatch } = this.settings;
    const seed = ((sampling.seed ?? 0) + this.nRetries) % 2 ** 31;
    return { steer: properties.map(({ steering }) => steering), sampling: { ...sampling, seed }, maxNewTokens, allowMismatch, signal };
  }

  private chatFrom(messages: readonly ChatMessage[]): Chat {
    const { systemText, settings: { templateVariables } } = this;
    const opening: ChatMessage[] = systemText === undefined ? [] : [{ role: "system", content: systemText }];
    return this.model.chat({ messages: [...opening, ...messages], templateVariables });
  }
}

function lastOf(messages: readonly ChatMessage[]): { question: string; isAnswered: true } | undefined {
  const question = messages.at(-2)?.content;
  return question === undefined ? undefined : { question, isAnswered: true };
}
