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

type Paint = (text: string) => string;

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
    const wrap = new WordWrap(widthOf(this.output) ?? 80, (text) => this.write(text));
    let hasText = false;
    return {
      push: this.parts(properties, (text, paint) => {
        hasText = true;
        wrap.push(text, paint);
      }),
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
      return {
        push: this.parts(how.properties, (text, paint) => rows.push(index, text, paint)),
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
  failed(error: unknown, isQuestion: boolean): void {
    if (!(error instanceof SteeringError) || error.code === "E_DISPOSED") throw error;
    if (error.code === "E_ABORTED") {
      const kept = isQuestion ? "The question is not kept; /retry asks it again." : "The conversation is as it was.";
      return this.note(`Stopped. ${kept}\n`);
    }
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

  /** Writes what each token adds: dim thoughts, a blank line, and the answer. */
  private parts(properties: readonly Property[], push: (text: string, paint: Paint) => void): (token: GeneratedToken) => void {
    const scales = properties.map(({ steering }) => alphaScale(steering));
    let last: { part: "thoughts" | "answer"; text: string } | undefined;
    const write = (part: "thoughts" | "answer", added: string, paint: Paint): void => {
      const text = harmless(last?.part === part ? added : added.trimStart());
      if (text === "") return;
      if (last && last.part !== part) push(last.text.endsWith("\n") ? "\n" : "\n\n", this.colours.dim);
      last = { part, text };
      push(text, paint);
    };
    return ({ thoughts, answer, readings }) => {
      write("thoughts", thoughts, this.colours.dim);
      write("answer", answer, (text) => this.shader.token(text, readings, scales));
    };
  }
}
