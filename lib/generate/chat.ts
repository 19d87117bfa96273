import { Template } from "@huggingface/jinja";
import { SteeringError } from "../errors.js";
import type { Model } from "../runtime/index.js";

export interface ChatMessage {
  role: "user" | "assistant" | "system";
  content: string;
}

/** What a chat template makes of messages. */
export interface ChatTemplate {
  /** Further variables that templates read, e.g. a guard's guideline. */
  variables?: Record<string, unknown>;
}

type Vocabulary = Pick<Model, "tokenise"> & { info: Pick<Model["info"], "bosToken" | "chatTemplate" | "path"> };

/**
 * Tokens of a chat in the form of the GGUF's own template, up to where the model's turn begins. Marks of the template that
 * occur in a message are taken for plain characters: "<" and "[" are set apart there by a space.
 *
 * @throws SteeringError E_BAD_GGUF where the model has no template, or one that fails or leaves a message out
 */
export function chatTokens(model: Vocabulary, messages: readonly ChatMessage[], { variables = {} }: ChatTemplate = {}): number[] {
  const { chatTemplate, bosToken, path } = model.info;
  if (!chatTemplate) throw new SteeringError("E_BAD_GGUF", `${path} carries no chat template`);
  const plain = messages.map(({ role, content }) => ({ role, content: withoutMarks(model, content) }));
  const text = render(chatTemplate, plain, variables, path);
  const tokens = model.tokenise(text, { special: true });
  return bosToken !== null && tokens[0] === bosToken && tokens[1] === bosToken ? tokens.slice(1) : tokens; // the template wrote one itself
}

/** Newer templates want a message's content as a list of parts. */
function render(chatTemplate: string, messages: readonly ChatMessage[], variables: Record<string, unknown>, path: string): string {
  const template = parse(chatTemplate, path);
  const lastly = messages.at(-1)!.content.trim();
  let failure: unknown;
  for (const content of [(text: string): unknown => text, (text: string): unknown => [{ type: "text", text }]]) {
    try {
      const text = template.render({ ...variables, messages: messages.map((message) => ({ ...message, content: content(message.content) })), add_generation_prompt: true, bos_token: "", eos_token: "" });
      if (text.includes(lastly)) return text;
    } catch (error) {
      failure ??= error;
    }
  }
  throw new SteeringError("E_BAD_GGUF", `the chat template of ${path} ${failure === undefined ? "leaves out the last message" : `fails: ${(failure as Error).message}`}`, { cause: failure });
}

function parse(chatTemplate: string, path: string): Template {
  try {
    return new Template(chatTemplate);
  } catch (cause) {
    throw new SteeringError("E_BAD_GGUF", `the chat template of ${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

function withoutMarks(model: Vocabulary, text: string): string {
  const isPlain = (candidate: string): boolean => {
    const [marked, unmarked] = [true, false].map((special) => model.tokenise(candidate, { bos: false, special }));
    return marked!.length === unmarked!.length && marked!.every((token, index) => token === unmarked![index]);
  };
  return isPlain(text) ? text : text.replace(/[<[](?! )/g, "$& ");
}
