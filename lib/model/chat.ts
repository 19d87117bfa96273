import { requireOneOf } from "../checks.js";
import { SteeringError } from "../errors.js";
import type { Cells, Engine } from "../engine/index.js";
import { generate, HISTORIES, type GenerateOptions, type GenerationStream, type History } from "../generate/index.js";
import { chatTokens, type ChatMessage, type ChatTemplate } from "../prompt/index.js";

/** Options of one turn. */
export interface TurnOptions extends GenerateOptions, Pick<ChatTemplate, "templateVariables"> {
  /** Also keep what the model thought in its message, for templates that pass thoughts on; default false: only the answer. */
  keepThoughts?: boolean;
  /** If the reply is left or aborted, keep what there is of it, with the message that it answers; default false: keep neither. */
  keepPartial?: boolean;
}

/** Default options of every turn, and the chat so far. */
export interface ChatOptions extends TurnOptions {
  /** Earlier messages, e.g. a system message; copied. */
  messages?: readonly ChatMessage[];
  /**
   * How later turns read a steered answer: `clean` (default) as any other text, unsteered, so that steering affects later turns through
   * the words of the answer only; `as-generated` with the vectors that it was generated with.
   */
  history?: History;
}

/**
 * A conversation written with the model's own chat template. Each turn may be steered differently. What a turn has computed of the
 * conversation stays in the cache, as long as there is room, so that the next turn only computes what is new.
 *
 * @hideconstructor
 */
export class Chat {
  private said: ChatMessage[];
  private readonly defaults: TurnOptions;
  private readonly history: History;
  /** What the cells of each reply's turn were computed from, where later turns are to have them as they are. */
  private readonly rows = new WeakMap<ChatMessage, Cells>();
  private replying: GenerationStream | undefined;

  /** Throws E_BAD_ARGUMENT for an unknown `history`. */
  constructor(private readonly model: Engine, { messages = [], history = "clean", ...defaults }: ChatOptions = {}) {
    requireOneOf("history", history, HISTORIES);
    this.said = messages.map((message) => ({ ...message }));
    this.defaults = defaults;
    this.history = history;
  }

  /** The chat so far, including replies that have ended; without their thoughts, unless `keepThoughts` kept them. */
  get messages(): readonly ChatMessage[] {
    return this.said;
  }

  /**
   * Adds a user message and has the model reply. Missing options default to those of the chat; `steer: []` steers nothing. If a reply is
   * left or fails, the chat keeps neither the reply nor the message.
   *
   * @throws SteeringError E_BUSY while a reply has not ended; E_BAD_SPEC; while it is read, what `prompts.chatTokens` and `generate` throw
   */
  say(content: string, options: TurnOptions = {}): GenerationStream {
    return this.answer([...this.said, { role: "user", content }], options);
  }

  /** Has the model reply to the messages so far. Throws what `say` throws. */
  reply(options: TurnOptions = {}): GenerationStream {
    return this.answer(this.said, options);
  }

  /**
   * Has the model answer the last user message again. The new answer replaces everything after that message, once it has ended; until
   * then, and if it is left or fails, the chat stays as it is.
   *
   * @throws SteeringError E_BAD_ARGUMENT without a user message, and what `say` throws
   */
  retry(options: TurnOptions = {}): GenerationStream {
    const last = this.lastQuestion();
    if (last < 0) throw new SteeringError("E_BAD_ARGUMENT", "there is no user message to answer again: say something first");
    return this.answer(this.said.slice(0, last + 1), options);
  }

  /**
   * Removes the last user message and everything after it; returns that message, or undefined if there is none. Throws E_BUSY while a
   * reply has not ended.
   */
  undo(): ChatMessage | undefined {
    this.requireIdle();
    const last = this.lastQuestion();
    return last < 0 ? undefined : this.said.splice(last)[0];
  }

  /** Sets the system message, which comes first; undefined removes it. Throws E_BUSY while a reply has not ended. */
  setSystem(text: string | undefined): void {
    this.requireIdle();
    const others = this.said.filter(({ role }, index) => index > 0 || role !== "system");
    this.said = text === undefined ? others : [{ role: "system", content: text }, ...others];
  }

  /** Leaves the current reply, if any; the chat keeps neither it nor the message that it answers, unless `keepPartial` says so. */
  async stop(): Promise<void> {
    await this.replying?.return();
  }

  private lastQuestion(): number {
    return this.said.findLastIndex(({ role }) => role === "user");
  }

  private requireIdle(): void {
    if (this.replying) throw new SteeringError("E_BUSY", "the last reply has not ended: read it to its end, or call stop()");
  }

  /** Replies to `asked`, which becomes the chat together with the reply. */
  private answer(asked: readonly ChatMessage[], options: TurnOptions): GenerationStream {
    this.requireIdle();
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as TurnOptions;
    const { templateVariables = {}, keepThoughts = false, keepPartial = false, ...rest } = { ...this.defaults, ...given };
    const messages = asked.map((message) => ({ ...message })); // the caller may change them before it reads the reply
    const prompt = (): Promise<number[]> => chatTokens(this.model, messages, { mayCut: true, templateVariables });
    const past = asked.map((message) => this.rows.get(message)).findLast((rows) => rows !== undefined);
    const stream = generate(this.model, prompt, rest, {
      memory: { owner: this, history: this.history, past },
      onEnd: (how, written) => {
        this.replying = undefined;
        const content = (keepThoughts ? written?.markedText : written?.answer) ?? "";
        if (!written || !(how === "whole" || (how === "left" && keepPartial && content !== ""))) return;
        const reply: ChatMessage = { role: "assistant", content };
        this.said = [...asked, reply];
        if (this.history === "as-generated") this.rows.set(reply, written.rows);
      },
    });
    this.replying = stream;
    return stream;
  }
}
