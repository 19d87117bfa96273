import type { GeneratedToken } from "../../lib/index.js";
import type { Property } from "./properties.js";
import type { Reply } from "./reply.js";

/** What an answer is made under. */
export interface HowAnswered {
  /** The vectors that steer it, in the order of its readings. */
  properties: readonly Property[];
  /** True if the chat's vectors are turned off. */
  isOff?: boolean;
  /** Names the answer among several. */
  title?: string;
}

/** Shows one answer as it comes. */
export interface AnswerWriter {
  push(token: GeneratedToken): void;
  /** Called once; `undefined`: the answer failed. */
  end(reply: Reply | undefined): void;
}

/** Where a chat reads what the user says, and shows what the model answers: a terminal, or pipes. */
export interface Front {
  /** The next question or command; undefined at the end of the input. */
  read(): Promise<string | undefined>;
  /** Runs work that Ctrl-C stops. */
  interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  answer(how: HowAnswered): AnswerWriter;
  /** Shows several answers at once; undefined if there is no room for them. */
  sideBySide(sides: readonly HowAnswered[]): AnswerWriter[] | undefined;
  /** Shows a line that is not a part of an answer. */
  note(text: string): void;
  /** Shows the error of a question or a command; throws it if the chat cannot continue. */
  failed(error: unknown, isQuestion: boolean): void;
  close(): void;
}
