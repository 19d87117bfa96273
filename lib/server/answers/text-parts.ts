import type { GeneratedToken } from "../../generate/index.js";
import { isThoughtMark } from "../../prompt/index.js";

/** The text that a token adds to a message. */
export interface Part {
  content: string;
  reasoning: string;
}

/** Tells the thoughts of one answer from its content, token by token; marks and the white space after a thought belong to neither. */
export class TextParts {
  private isAfterThought = false;

  constructor(private readonly template: string | null) {}

  take({ text, phase }: Pick<GeneratedToken, "text" | "phase">): Part {
    if (text !== "" && isThoughtMark(text.trim(), this.template)) {
      this.isAfterThought = true;
      return { content: "", reasoning: "" };
    }
    if (phase === "thinking") {
      this.isAfterThought = true;
      return { content: "", reasoning: text };
    }
    const content = this.isAfterThought ? text.trimStart() : text;
    if (content !== "") this.isAfterThought = false;
    return { content, reasoning: "" };
  }
}
