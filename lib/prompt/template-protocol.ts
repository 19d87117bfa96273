/** A request to the process that renders chat templates. */
export interface RenderRequest {
  template: string;
  /** Variables of all chats. */
  variables: Record<string, unknown>;
  /** Additional variables of each chat, including its messages. */
  chats: Array<Record<string, unknown>>;
  /** Maximum length of a text, in characters. */
  longest: number;
}

/** A chat's text, the template's reason for refusing it, or the way the template fails. */
export type Rendered = { text: string } | { refusal: string } | { failure: string };

/** Sent once, when the process can take requests. */
export const READY = "ready";
