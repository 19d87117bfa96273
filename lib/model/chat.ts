import { SteeringError } from "../errors.js";
import type { Engine } from "../engine/index.js";
import { generate, type GenerateOptions, type GenerationStream } from "../generate/index.js";
import { chatTokens, type ChatMessage, type ChatTemplate } from "../prompt/index.js";

/** Options of one turn. */
export interface TurnOptions extends GenerateOptions, Pick<ChatTemplate, "templateVariables"> {}

/** Default options of every turn, and the chat so far. */
export interface ChatOptions extends TurnOptions {
  /** Earlier messages, e.g. a system message; copied. */
  messages?: readonly ChatMessage[];
}

/**
 * A conversation written with the model's own chat template. Each turn may be steered differently; the model reads the earlier messages
 * unsteered, as the prompt of the turn.
 *
 * @hideconstructor
 */
export class Chat {
  private readonly said: ChatMessage[];
  private readonly defaults: TurnOptions;
  private replying: GenerationStream | undefined;

  constructor(private readonly model: Engine, { messages = [], ...defaults }: ChatOptions = {}) {
    this.said = messages.map((message) => ({ ...message }));
    this.defaults = defaults;
  }

  /** The chat so far, including replies that have ended, with their thoughts; the template decides which thoughts it passes on. */
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
    return this.answer([{ role: "user", content }], options);
  }

  /** Has the model reply to the messages so far. Throws what `say` throws. */
  reply(options: TurnOptions = {}): GenerationStream {
    return this.answer([], options);
  }

  /** Leaves the current reply, if any; the chat keeps neither it nor the message that it answers. */
  async stop(): Promise<void> {
    await this.replying?.return();
  }

  private answer(asked: readonly ChatMessage[], options: TurnOptions): GenerationStream {
    if (this.replying) throw new SteeringError("E_BUSY", "the last reply has not ended: read it to its end, or call stop()");
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as TurnOptions;
    const { templateVariables = {}, ...rest } = { ...this.defaults, ...given };
    const messages = [...this.said, ...asked].map((message) => ({ ...message })); // the caller may change them before it reads the reply
    const prompt = (): Promise<number[]> => chatTokens(this.model, messages, { mayCut: true, templateVariables });
    const stream = generate(this.model, prompt, rest, (result) => {
      this.replying = undefined;
      if (result) this.said.push(...asked, { role: "assistant", content: result.text });
    });
    this.replying = stream;
    return stream;
  }
}
