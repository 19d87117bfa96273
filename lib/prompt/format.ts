import { requireOneOf } from "../checks.js";
import { SteeringError } from "../errors.js";
import type { Engine } from "../engine/index.js";
import { FORMATS, type Format } from "../vector/index.js";
import { chatTokens, type ChatMessage } from "./chat.js";
import { iclPrompt, iclTokens, questionPrompt, type PromptGroup, type QaVariant } from "./question.js";
import type { TemplateVariables } from "./template-variables.js";

/** How to put questions to a model. */
export interface FormatOptions {
  /** `auto` (default): `chat` if the GGUF has a chat template for conversations, otherwise `qa`. */
  format?: Format | "auto";
  /** A system message; in the formats `qa` and `raw`, which have none, an opening paragraph. */
  system?: string;
  /** Additional variables for the chat template, e.g. `{ enable_thinking: false }`. */
  templateVariables?: TemplateVariables;
}

/** What `--format` accepts. */
export const FORMAT_CHOICES = ["auto", ...FORMATS] as const;

/** The format that `auto` stands for with this model. Throws E_BAD_ARGUMENT for unknown formats. */
export function resolveFormat(model: Pick<Engine, "info">, format: FormatOptions["format"] = "auto"): Format {
  requireOneOf("format", format, FORMAT_CHOICES);
  if (format !== "auto") return format;
  return HAS_TURNS.test(model.info.chatTemplate ?? "") ? "chat" : "qa";
}

/** A template that does not loop over the messages writes a fixed number of them, e.g. those that a guard judges: not a conversation. */
const HAS_TURNS = /\{%[-+]?\s*for\s/;

/**
 * Tokens of a question, or with the format `chat` of a whole conversation, up to where the model's answer begins.
 *
 * @throws SteeringError E_BAD_ARGUMENT (also for a conversation in another format), and what `chatTokens` throws
 */
export async function promptTokens(
  model: Engine, question: string | readonly ChatMessage[], { format, system, templateVariables = {} }: FormatOptions = {},
): Promise<number[]> {
  const resolved = resolveFormat(model, format);
  const opening: ChatMessage[] = system === undefined ? [] : [{ role: "system", content: system }];
  if (resolved === "chat") {
    const messages: readonly ChatMessage[] = typeof question === "string" ? [{ role: "user", content: question }] : question;
    return chatTokens(model, [...opening, ...messages], { templateVariables, mayCut: typeof question !== "string" });
  }
  if (typeof question !== "string") {
    throw new SteeringError("E_BAD_ARGUMENT", `messages need a chat template; with the format ${resolved}, expected one question`);
  }
  const lead = system === undefined ? "" : `${system}\n\n`;
  return model.tokenise(lead + (resolved === "qa" ? questionPrompt(question) : question));
}

/**
 * Tokens of a question under a system message in addition to that of the options. If the chat template accepts no system message, both
 * stand at the beginning of the user's message. Throws what `promptTokens` throws.
 */
export async function promptTokensUnder(
  model: Engine, message: string, question: string, { format: asked, system, templateVariables = {} }: FormatOptions = {},
): Promise<number[]> {
  const format = resolveFormat(model, asked);
  const opening = system === undefined ? message : `${system}\n\n${message}`;
  try {
    return await promptTokens(model, question, { format, system: opening, templateVariables });
  } catch (error) {
    if (format !== "chat" || !(error instanceof SteeringError) || error.code !== "E_BAD_ARGUMENT") throw error;
    return promptTokens(model, `${opening}\n\n${question}`, { format, templateVariables });
  }
}

/** How to put questions after demonstrations to a model. */
export interface DemonstrationOptions extends FormatOptions {
  /** Variant of the format `qa`; default `clean`. */
  promptFormat?: QaVariant;
}

/**
 * The format that `auto` stands for with demonstrations: `qa`, as published, for datasets with an instruction, which the published ones
 * have; otherwise as `resolveFormat`. Throws E_BAD_ARGUMENT for a format that demonstrations cannot be written in.
 */
export function resolveDemonstrationFormat(
  model: Pick<Engine, "info">, instructions: readonly string[], { format = "auto", system, promptFormat = "clean" }: DemonstrationOptions,
): Format {
  const isPublished = promptFormat === "published" || instructions.some((instruction) => instruction !== "");
  const resolved = format === "auto" && isPublished ? "qa" : resolveFormat(model, format);
  if (resolved === "raw") {
    throw new SteeringError("E_BAD_ARGUMENT", "the format raw cannot tell demonstrations from questions; expected qa or chat");
  }
  if (promptFormat === "published" && (resolved !== "qa" || system !== undefined)) {
    throw new SteeringError("E_BAD_ARGUMENT", 'promptFormat "published" is a variant of the format qa without a system message; '
      + 'leave out format and system, or use promptFormat "clean"');
  }
  return resolved;
}

/**
 * Tokens of a question after demonstrations: written before it (`qa`), or as earlier turns of a chat, whose first message begins with the
 * instruction. Throws what `resolveDemonstrationFormat` and `chatTokens` throw.
 */
export async function demonstrationTokens(
  model: Engine, instruction: string, group: PromptGroup, options: DemonstrationOptions = {},
): Promise<number[]> {
  const { promptFormat, ...how } = options;
  const format = resolveDemonstrationFormat(model, [instruction], options);
  if (format === "qa") {
    if (how.system === undefined) return iclTokens(model, instruction, group, promptFormat);
    return promptTokens(model, iclPrompt(instruction, group), { ...how, format: "raw" });
  }
  const messages = group.demonstrations.flatMap(({ input, output }): ChatMessage[] =>
    [{ role: "user", content: input }, { role: "assistant", content: output }]);
  messages.push({ role: "user", content: group.query.input });
  if (instruction) messages[0]!.content = `${instruction}\n\n${messages[0]!.content}`;
  return promptTokens(model, messages, { ...how, format });
}
