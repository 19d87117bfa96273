import { SteeringError } from "../errors.js";
import type { Engine } from "../engine/index.js";
import { generate, type GenerateOptions, type GenerationStream } from "../generate/index.js";
import { chatTokens, type ChatMessage, type ChatTemplate } from "../prompt/index.js";

/** Options of one turn. */
export interface TurnOptions extends GenerateOptions, Pick<ChatTemplate, "templateVariables"> {}

/** Options of every turn that has no other of its own, and what was said before. */
export interface ChatOptions extends TurnOptions {
  /** The chat so far, e.g. a system message; copied. */
  messages?: readonly ChatMessage[];
}

/**
 * A conversation in the form of the model's own chat template. Every turn may be steered in its own way; what was said
 * before is read unsteered, as the prompt of the turn.
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

  /** What was said, the model's replies included once they have ended, with their thoughts. The template decides what it shows of those. */
  get messages(): readonly ChatMessage[] {
    return this.said;
  }

  /**
   * Say something, and have the model reply. Options not given are those of the chat; `steer: []` steers nothing. A reply
   * that is left or fails is not remembered, and neither is what it answers.
   *
   * @throws SteeringError E_BUSY while a reply has not ended; E_BAD_SPEC; when it is read: what `prompts.chatTokens` and `generate` throw
   */
  say(content: string, options: TurnOptions = {}): GenerationStream {
    return this.answer([{ role: "user", content }], options);
  }

  /** Have the model reply to the messages as they are. Throws what `say` throws. */
  reply(options: TurnOptions = {}): GenerationStream {
    return this.answer([], options);
  }

  /** Leave the reply under way, if any; neither it nor what it answers is remembered. */
  async stop(): Promise<void> {
    await this.replying?.return();
  }

  private answer(asked: readonly ChatMessage[], options: TurnOptions): GenerationStream {
    if (this.replying) throw new SteeringError("E_BUSY", "the last reply has not ended: read it to its end, or stop() it");
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as TurnOptions;
    const { templateVariables = {}, ...rest } = { ...this.defaults, ...given };
    const messages = [...this.said, ...asked].map((message) => ({ ...message })); // what the caller changes until it is read is not meant
    const prompt = (): Promise<number[]> => chatTokens(this.model, messages, { mayCut: true, templateVariables });
    const stream = generate(this.model, prompt, rest, (result) => {
      this.replying = undefined;
      if (result) this.said.push(...asked, { role: "assistant", content: result.text });
    });
    this.replying = stream;
    return stream;
  }
}
