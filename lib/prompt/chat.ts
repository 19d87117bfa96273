import { shown, SteeringError } from "../errors.js";
import type { Engine } from "../engine/index.js";
import { SpecialText } from "./special-text.js";
import { renderChats } from "./template-process.js";
import type { Rendered } from "./template-protocol.js";
import { answerOf, THOUGHT_MARKS } from "./thoughts.js";
import { checkVariables, eachText, type TemplateVariables } from "./template-variables.js";

/** One turn of a chat. */
export interface ChatMessage {
  role: "user" | "assistant" | "system";
  content: string;
}

/** How to apply a chat template. */
export interface ChatTemplate {
  /** Additional variables for the template, e.g. `{ enable_thinking: false }`. */
  templateVariables?: TemplateVariables;
  /**
   * Let the template cut parts of messages, as its author intended: an answer's thoughts, or a command such as `/no_think`. Default
   * false: omitting a part is E_BAD_ARGUMENT, so that a guard, for example, sees everything it judges.
   */
  mayCut?: boolean;
}

type Form = (text: string) => unknown;
/** The forms of a message's content that templates accept: a string or, in newer templates, a list of parts. */
const FORMS: readonly Form[] = [(text) => text, (text) => [{ type: "text", text }]];
/** Templates compare roles, so roles cannot be guarded the way contents are. */
const PLAIN_WORD = /^[\p{L}\p{N}_-]+$/u;
/** Text that no template contains; shows whether a template writes each message. */
const MARKER = "qzx";
/** How many characters a template may add, and how often it may repeat a message. */
const OWN_CHARACTERS = 2 ** 20;
const REPETITIONS = 4;

/**
 * Returns the tokens of a chat, written with the GGUF's own template, up to where the model's turn begins. No text in a message becomes
 * one of the template's special tokens. The tokens begin with exactly one BOS if the template writes it or the model wants it.
 *
 * @throws SteeringError E_BAD_GGUF if the model has no template, or if the template cannot be parsed, fails, omits messages of every
 *   role, or takes more than 5 seconds or 256 MB; E_BAD_ARGUMENT if there are no messages, if a role is not a plain word, or if the
 *   template refuses the messages, does not support a role or cuts a message; E_NATIVE if the process that renders the template cannot be
 *   started; E_ABORTED if that process is interrupted
 */
export async function chatTokens(model: Engine, messages: readonly ChatMessage[], options: ChatTemplate = {}): Promise<number[]> {
  const { templateVariables = {}, mayCut = false } = options;
  const { chatTemplate, path } = model.info;
  if (messages.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "a chat needs at least one message");
  if (!messages.every(({ role, content }) => typeof role === "string" && typeof content === "string")) {
    throw new SteeringError("E_BAD_ARGUMENT", "every message of a chat needs a role and a content, both strings");
  }
  const strange = messages.find(({ role }) => !PLAIN_WORD.test(role));
  if (strange) {
    throw new SteeringError("E_BAD_ARGUMENT", `the role ${shown(strange.role)} of a message is not a plain word: `
      + 'expected letters, digits, _ and -, as in "user", "assistant" or "system"');
  }
  checkVariables(templateVariables);
  if (!chatTemplate) throw new SteeringError("E_BAD_GGUF", `${path} has no chat template`);
  const isAnswer = ({ role }: ChatMessage): boolean => mayCut && role === "assistant";
  const said = messages.map((each) => ({ role: each.role, content: isAnswer(each) ? answerOf(each.content, chatTemplate) : each.content }));
  const special = new SpecialText(model, chatTemplate, [...said.map(({ content }) => content), ...eachText(templateVariables).texts]);
  const guarded = said.map((each) =>
    ({ role: each.role, content: special.checked(each.content, isAnswer(each) ? THOUGHT_MARKS : undefined) }));
  const kept = mayCut ? [] : guarded.map(({ content }) => content.trim());
  const variables = { ...defaults(model), ...eachText(templateVariables, (text) => special.checked(text)).variables };
  const text = await new TemplateOfFile(chatTemplate, path, variables).write(guarded, kept);
  const [tokens, lead] = [special.tokens(text), model.tokenise("")];
  return tokens[0] === lead[0] ? tokens : [...lead, ...tokens];
}

/** The variables that transformers passes to every template. */
function defaults(model: Engine): Record<string, unknown> {
  const { bos, eos } = model.specialTokens();
  return { tools: null, documents: null, bos_token: bos ?? "", eos_token: eos ?? "" };
}

/** A file's chat template, with the variables of one chat. */
class TemplateOfFile {
  constructor(private readonly template: string, private readonly path: string, private readonly variables: Record<string, unknown>) {}

  /** Renders a chat. Throws what `chatTokens` throws. */
  async write(messages: readonly ChatMessage[], kept: readonly string[]): Promise<string> {
    const complaints: Complaint[] = [];
    for (const form of FORMS) {
      const [marked, written] = await this.render([markersFor(messages), messages], form);
      const complaint = complaintOf(marked!, markersFor(messages).map(({ content }) => content));
      if (!complaint) return this.checked(written!, kept);
      complaints.push(complaint);
    }
    throw await this.blame(complaints, messages);
  }

  private checked(written: Rendered, kept: readonly string[]): string {
    const complaint = complaintOf(written, kept);
    if ("text" in written && !complaint) return written.text;
    if ("failure" in written) throw new SteeringError("E_BAD_GGUF", `the chat template of ${this.path} fails: ${written.failure}`);
    throw new SteeringError("E_BAD_ARGUMENT", "refusal" in written
      ? `the chat template of ${this.path} refuses the messages: ${written.refusal}`
      : `the chat template of ${this.path} cuts out part of a message`);
  }

  /** Blames the file if its template cannot even write a user's message, and otherwise the roles. */
  private async blame(complaints: readonly Complaint[], messages: readonly ChatMessage[]): Promise<SteeringError> {
    const template = `the chat template of ${this.path}`;
    const refusal = complaints.find(({ kind }) => kind === "refuses");
    if (refusal) return new SteeringError("E_BAD_ARGUMENT", `${template} refuses the messages: ${refusal.reason}`);
    const { kind, reason } = complaints[0]!;
    const what = kind === "omits" ? "omits a message" : `fails: ${reason}`;
    const roles = messages.map(({ role }) => role).join(", ");
    const single = markersFor([{ role: "user", content: "" }]);
    for (const form of roles === "user" ? [] : FORMS) {
      const [written] = await this.render([single], form);
      if (complaintOf(written!, [single[0]!.content])) continue;
      return new SteeringError("E_BAD_ARGUMENT", `${template} ${what}; the roles of the messages are ${roles}`);
    }
    return new SteeringError("E_BAD_GGUF", `${template} ${what}`);
  }

  private render(chats: ReadonlyArray<readonly ChatMessage[]>, form: Form): Promise<Rendered[]> {
    const length = Math.max(...chats.map((messages) => messages.reduce((sum, { content }) => sum + content.length, 0)));
    return renderChats({
      template: this.template,
      variables: { ...this.variables, add_generation_prompt: true },
      chats: chats.map((messages) => ({ messages: messages.map(({ role, content }) => ({ role, content: form(content) })) })),
      longest: OWN_CHARACTERS + REPETITIONS * (length + JSON.stringify(this.variables).length),
    }, this.path);
  }
}

interface Complaint {
  kind: "refuses" | "fails" | "omits";
  reason: string;
}

/** The complaint about a rendered text that should contain all of `contents`, which templates may write as JSON. */
function complaintOf(written: Rendered, contents: readonly string[]): Complaint | undefined {
  if ("refusal" in written) return { kind: "refuses", reason: written.refusal };
  if ("failure" in written) return { kind: "fails", reason: written.failure };
  const { text } = written;
  const isThere = (content: string): boolean => text.includes(content) || text.includes(JSON.stringify(content).slice(1, -1));
  return contents.every(isThere) ? undefined : { kind: "omits", reason: "" };
}

/** The same turns, with a unique marker as the content of each. */
function markersFor(messages: readonly ChatMessage[]): ChatMessage[] {
  return messages.map(({ role }, index) => ({ role, content: `${MARKER}${index}kjw` }));
}
