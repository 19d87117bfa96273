import { requireOneOf } from "../checks.js";
import { SteeringError } from "../errors.js";
import type { Engine } from "../engine/index.js";
import { FORMATS, type Format } from "../vector/index.js";
import { chatTokens, type ChatMessage } from "./chat.js";
import { questionPrompt } from "./question.js";
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
