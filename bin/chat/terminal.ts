import { SteeringError, type GeneratedToken } from "../../lib/index.js";
import { coloursOf } from "../colours.js";
import { alphaScale } from "../commands/generate.js";
import { widthOf, wrapped } from "../wrapped.js";
import { fitsSideBySide, SideBySide } from "./columns.js";
import type { AnswerWriter, Front, HowAnswered } from "./front.js";
import type { LineEditor } from "./line-editor.js";
import type { Property } from "./properties.js";
import type { Reply } from "./reply.js";
import { harmless, Shader } from "./shade.js";
import { statusLine } from "./status-line.js";
import { WordWrap } from "./word-wrap.js";

/** A chat in a terminal: tokens in the hue of the property that steers them, and a status line after each answer. */
export class Terminal implements Front {
  private readonly shader: Shader;
  private readonly colours: ReturnType<typeof coloursOf>;

  constructor(private readonly editor: LineEditor, private readonly output: NodeJS.WriteStream) {
    this.shader = new Shader(output.getColorDepth());
    this.colours = coloursOf(output);
  }

  async read(): Promise<string | undefined> {
    return this.editor.read();
  }

  interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.editor.interruptible(work);
  }

  answer(how: HowAnswered): AnswerWriter {
    const { properties, title } = how;
    if (title !== undefined) this.write(`${this.colours.bold(title)}\n`);
    const paint = this.painter(properties);
    const wrap = new WordWrap(this.output.columns, (text) => this.write(text));
    let hasText = false;
    return {
      push: (token) => {
        const text = harmless(hasText ? token.text : token.text.trimStart());
        hasText ||= text !== "";
        wrap.push(text, paint(token));
      },
      end: (reply) => {
        if (hasText) this.write("\n");
        if (reply) this.write(`${this.status(reply, how)}\n\n`);
      },
    };
  }

  sideBySide(sides: readonly HowAnswered[]): AnswerWriter[] | undefined {
    const { columns } = this.output;
    if (!fitsSideBySide(columns, sides.length)) return undefined;
    const rows = new SideBySide(columns, sides.length, (text) => this.write(text));
    for (const [index, { title = "" }] of sides.entries()) rows.push(index, `${title}\n`, this.colours.bold);
    const statuses = new Map<number, string>();
    return sides.map((how, index) => {
      const paint = this.painter(how.properties);
      return {
        push: (token) => rows.push(index, harmless(token.text), paint(token)),
        end: (reply) => {
          rows.end(index);
          statuses.set(index, reply ? `${how.title}: ${this.status(reply, how)}\n` : "");
          if (statuses.size === sides.length) this.write(`${sides.map((_, each) => statuses.get(each)).join("")}\n`);
        },
      };
    });
  }

  note(text: string): void {
    this.write(`${this.colours.dim(this.fitted(text))}\n`);
  }

  /** Shows an error of ours: the chat goes on. Throws any other. */
  failed(error: unknown): void {
    if (!(error instanceof SteeringError) || error.code === "E_DISPOSED") throw error;
    if (error.code === "E_ABORTED") return this.note("Stopped. The question is not kept; /retry asks it again.\n");
    const hint = error.code === "E_CONTEXT_FULL" ? "; /undo or /clear makes room" : "";
    this.write(`${this.colours.red(this.fitted(`${error.message}${hint} [${error.code}]`))}\n\n`);
  }

  close(): void {
    this.editor.close();
  }

  private write(text: string): void {
    if (text !== "") this.output.write(text);
  }

  /** A text that controls nothing, broken at words. */
  private fitted(text: string): string {
    return wrapped(harmless(text), (widthOf(this.output) ?? 80) - 1).join("\n");
  }

  private status(reply: Reply, how: HowAnswered): string {
    return this.colours.dim(statusLine(reply, how, (text, index) => this.shader.name(text, index)));
  }

  /** How to write each token of an answer; thoughts are dim. */
  private painter(properties: readonly Property[]): (token: GeneratedToken) => (text: string) => string {
    const scales = properties.map(({ steering }) => alphaScale(steering));
    return (token) => {
      if (token.phase === "thinking") return this.colours.dim;
      return (text) => this.shader.token(text, token.readings, scales);
    };
  }
}
