import { createInterface } from "node:readline";
import type { ReadStream, WriteStream } from "node:tty";
import type { InputHistory } from "./input-history.js";

const PROMPT = "> ";
const CONTINUED = "… ";
const CTRL_C = 3;
/** Ctrl-C has discarded the input. */
const DISCARDED = Symbol("discarded");
/** The terminal marks what is pasted, so that the lines of a paste are one input. */
const PASTE_MARKS = { on: "\x1b[?2004h", off: "\x1b[?2004l" };

/** Reads what the user types: with Node's line editing, several lines as one input, and Ctrl-C. */
export class LineEditor {
  /** Lines that were entered before they were read, and the beginning of one. */
  private readonly entered: string[] = [];
  private begun = "";
  /** True after Ctrl-C in an empty line: the next one leaves. */
  private isWarned = false;

  constructor(
    private readonly input: ReadStream, private readonly output: WriteStream,
    private readonly history: InputHistory | undefined, private readonly complete: (line: string) => string[],
  ) {
    output.write(PASTE_MARKS.on);
  }

  /**
   * The next input; its lines are joined if all but the last end in a backslash, or were pasted. Undefined after Ctrl-D, or after Ctrl-C
   * twice in an empty line; in any other line Ctrl-C discards the input.
   */
  async read(): Promise<string | undefined> {
    let input: string | undefined | typeof DISCARDED = this.entered.shift() ?? DISCARDED;
    while (input === DISCARDED) input = await this.edit();
    return input;
  }

  private edit(): Promise<string | undefined | typeof DISCARDED> {
    const { input, output, history, entered } = this;
    return new Promise((resolve) => {
      const lines: string[] = [];
      let isPasting = false;
      const editor = createInterface({
        input, output, terminal: true, prompt: PROMPT, history: history?.latestFirst ?? [], removeHistoryDuplicates: true,
        completer: (line: string) => [isPasting ? [] : this.complete(line), line],
      });
      const onKey = (_: unknown, key: { name?: string } | undefined): void => {
        if (key?.name === "paste-start") isPasting = true;
        if (key?.name === "paste-end") isPasting = false;
        if (key?.name === "tab" && isPasting) editor.write("\t");
      };
      const settle = (value: string | undefined | typeof DISCARDED): void => {
        input.off("keypress", onKey);
        editor.off("close", onClose);
        this.begun = value === DISCARDED ? "" : editor.line;
        editor.close();
        resolve(value);
      };
      const onLine = (line: string): void => {
        void history?.add(line);
        this.isWarned = false;
        const isContinued = line.endsWith("\\");
        lines.push(isContinued ? line.slice(0, -1) : line);
        if (isContinued || isPasting) {
          editor.setPrompt(CONTINUED);
          return editor.prompt();
        }
        entered.push(lines.splice(0).join("\n"));
        // What is typed fast arrives at once: the other lines of this piece come before the editor closes.
        if (entered.length === 1) setImmediate(() => settle(entered.shift()));
      };
      input.prependListener("keypress", onKey);
      const onClose = (): void => {
        output.write("\n");
        settle(undefined);
      };
      editor.on("line", onLine).on("close", onClose).on("SIGINT", () => {
        const isEmpty = editor.line === "" && lines.length === 0;
        if (isEmpty && this.isWarned) return editor.close();
        output.write(isEmpty ? "\nCtrl-C again leaves; so does Ctrl-D.\n" : "\n");
        this.isWarned = isEmpty;
        settle(DISCARDED);
      });
      editor.prompt();
      if (this.begun !== "") editor.write(this.begun);
    });
  }

  /** Runs work that Ctrl-C stops. Other keys wait for the next `read`. */
  async interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { input } = this;
    const abort = new AbortController();
    const typed: Buffer[] = [];
    const onData = (data: Buffer): void => {
      const at = data.lastIndexOf(CTRL_C);
      if (at >= 0) {
        typed.length = 0; // typed for an answer that is no longer wanted
        abort.abort();
      }
      typed.push(data.subarray(at + 1));
    };
    input.setRawMode(true).on("data", onData).resume();
    try {
      return await work(abort.signal);
    } finally {
      input.off("data", onData).pause().setRawMode(false);
      const rest = Buffer.concat(typed);
      if (rest.length > 0) input.unshift(rest);
    }
  }

  close(): void {
    this.output.write(PASTE_MARKS.off);
    this.input.setRawMode(false).pause();
  }
}
