import type { GeneratedToken } from "../../lib/index.js";
import type { Property } from "./properties.js";
import type { Reply } from "./reply.js";

/** Shows one answer as it comes. */
export interface AnswerWriter {
  push(token: GeneratedToken): void;
  /** Called once; `undefined`: the answer failed. */
  end(reply: Reply | undefined): void;
}

/** Where a chat reads what the user says, and shows what the model answers: a terminal, or pipes. */
export interface Front {
  /** Columns of the terminal; undefined in a pipe. */
  readonly columns: number | undefined;
  /** The next question or command; undefined at the end of the input. */
  read(): Promise<string | undefined>;
  /** Runs work that Ctrl-C stops. */
  interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** `title`: names the answer among several. */
  answer(properties: readonly Property[], title?: string): AnswerWriter;
  /** Shows two answers side by side; only in a terminal. */
  sideBySide(sides: ReadonlyArray<{ title: string; properties: readonly Property[] }>): AnswerWriter[];
  /** Shows a line that is not a part of an answer. */
  note(text: string): void;
  /** Shows the error of one turn; throws it if the chat cannot continue. */
  failed(error: unknown): void;
  close(): void;
}
