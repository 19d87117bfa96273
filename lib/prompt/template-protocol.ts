/** What crosses between a program and the process that renders its chat templates. */
export interface RenderRequest {
  template: string;
  /** Of all chats. */
  variables: Record<string, unknown>;
  /** Further variables of each chat, its messages among them. */
  chats: Array<Record<string, unknown>>;
  /** Characters that a text may have. */
  longest: number;
}

/** A chat's text; or why the template refuses it, in its own words; or how the template fails. */
export type Rendered = { text: string } | { refusal: string } | { failure: string };

/** Said once, when requests are taken. */
export const READY = "ready";
