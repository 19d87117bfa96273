import { Template } from "@huggingface/jinja";
import { SteeringError } from "../errors.js";
import type { Model } from "../runtime/index.js";

/** One turn of a chat. */
export interface ChatMessage {
  role: "user" | "assistant" | "system";
  content: string;
}

/** What a chat template makes of messages. */
export interface ChatTemplate {
  /** Further variables that templates read, e.g. a guard's guideline. */
  variables?: Record<string, unknown>;
  /** Let the template leave out what the model thought, up to `</think>`, before an answer of the history; default false: nothing may be left out. */
  mayCutThoughts?: boolean;
}

/** What is read of a model to write a chat for it. */
export type Vocabulary = Pick<Model, "tokenise"> & { info: Pick<Model["info"], "bosToken" | "chatTemplate" | "path"> };

/** Behind the thoughts of models that think before they answer. */
const THOUGHT_END = "</think>";
/** How a template wants a message's content: as a string, or, newer ones, as a list of parts. */
const FORMS: ReadonlyArray<(text: string) => unknown> = [(text) => text, (text) => [{ type: "text", text }]];

/**
 * Tokens of a chat in the form of the GGUF's own template, up to where the model's turn begins. Marks of the template that
 * occur in a message are taken for plain characters: "<" and "[" are set apart there by a space.
 *
 * @throws SteeringError E_BAD_GGUF where the model has no template, or one that fails or leaves a message out; E_BAD_ARGUMENT
 *   for no messages, or where the template cuts or refuses these
 */
export function chatTokens(model: Vocabulary, messages: readonly ChatMessage[], { variables = {}, mayCutThoughts = false }: ChatTemplate = {}): number[] {
  const { chatTemplate, bosToken, path } = model.info;
  if (messages.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "a chat needs a message at least");
  if (!chatTemplate) throw new SteeringError("E_BAD_GGUF", `${path} carries no chat template`);
  const contents = messages.map(({ content }) => withoutMarks(model, content));
  const kept = contents.map((content, index) => (mayCutThoughts && messages[index]!.role === "assistant" ? content.split(THOUGHT_END).at(-1)! : content).trim());
  const text = renderer(chatTemplate, messages.map(({ role }) => role), variables, path)(contents, kept);
  const tokens = model.tokenise(text, { special: true });
  return bosToken !== null && tokens[0] === bosToken && tokens[1] === bosToken ? tokens.slice(1) : tokens; // the template wrote one itself
}

/** Writes messages of these roles; in which form, is found out on words that no template has. */
function renderer(chatTemplate: string, roles: readonly ChatMessage["role"][], variables: Record<string, unknown>, path: string): (contents: readonly string[], kept: readonly string[]) => string {
  const template = parse(chatTemplate, path);
  const write = (contents: readonly string[], form: (text: string) => unknown): string =>
    template.render({ ...variables, messages: contents.map((content, index) => ({ role: roles[index], content: form(content) })), add_generation_prompt: true, bos_token: "", eos_token: "" });
  const probes = roles.map((_, index) => `qzx${index}kjw`);
  let failure: Error | undefined;
  for (const form of FORMS) {
    try {
      const text = write(probes, form);
      if (probes.every((probe) => text.includes(probe))) return (contents, kept) => checked(kept, () => write(contents, form));
    } catch (error) {
      failure ??= error as Error;
    }
  }
  throw new SteeringError("E_BAD_GGUF", `the chat template of ${path} ${failure ? `fails: ${failure.message}` : "leaves out a message"}`, { cause: failure });
}

/** Throws E_BAD_ARGUMENT where a template that works leaves out any of `kept`, or refuses the messages. */
function checked(kept: readonly string[], write: () => string): string {
  let text: string;
  try {
    text = write();
  } catch (cause) {
    throw new SteeringError("E_BAD_ARGUMENT", `the chat template refuses the messages: ${(cause as Error).message}`, { cause });
  }
  if (kept.every((content) => text.includes(content))) return text;
  throw new SteeringError("E_BAD_ARGUMENT", "the chat template cuts a part out of a message");
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
