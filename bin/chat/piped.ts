import { SteeringError, type GeneratedToken } from "../../lib/index.js";
import { throwIfAborted } from "../../lib/errors.js";
import type { AnswerWriter, Front, HowAnswered } from "./front.js";
import type { Property } from "./properties.js";
import type { Reply } from "./reply.js";
import { scheduleWords } from "./schedule-words.js";
import { alphasOf, statusLine } from "./status-line.js";

/** A longer line is not a question, but a file without line breaks. */
const MAX_LINE = 2 ** 20;

export interface PipedOptions {
  json: boolean;
  quiet: boolean;
  /** Aborts the chat. */
  signal: AbortSignal;
}

/** A chat in pipes: a question per line, only the answers on stdout, and the end at the first error. */
export class Piped implements Front {
  private readonly lines: AsyncGenerator<string>;

  constructor(input: AsyncIterable<Uint8Array>, private readonly output: NodeJS.WritableStream, private readonly options: PipedOptions) {
    this.lines = linesOf(input);
  }

  /** Lines that end in a backslash continue on the next one. */
  async read(): Promise<string | undefined> {
    const parts: string[] = [];
    for (let next = await this.lines.next(); !next.done; next = await this.lines.next()) {
      if (!next.value.endsWith("\\")) return [...parts, next.value].join("\n");
      parts.push(next.value.slice(0, -1));
    }
    return parts.length > 0 ? parts.join("\n") : undefined;
  }

  async interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const result = await work(this.options.signal);
    throwIfAborted(this.options.signal);
    return result;
  }

  answer(how: HowAnswered): AnswerWriter {
    const { properties, title } = how;
    const { json } = this.options;
    const push = ({ answer: text }: GeneratedToken): void => void (json || this.output.write(text));
    const heading = title === undefined ? {} : { setting: title };
    if (title !== undefined && !json) this.output.write(`${title}:\n`);
    return {
      push,
      end: (reply) => {
        if (!reply) return;
        this.output.write(json ? `${JSON.stringify({ ...heading, ...summary(reply, properties) })}\n` : "\n");
        if (!json) this.note(statusLine(reply, how));
      },
    };
  }

  /** Answers in a pipe come one after the other. */
  sideBySide(): undefined {
    return undefined;
  }

  note(text: string): void {
    if (!this.options.quiet) process.stderr.write(`${text}\n`);
  }

  failed(error: unknown): void {
    throw error;
  }

  close(): void {
    void this.lines.return(undefined);
  }
}

function summary({ question, text, thoughts, tokens, seconds, finishReason, result }: Reply, properties: readonly Property[]): object {
  const steering = properties.map(({ name, steering: { schedule } }, index) => {
    const { mean = null, last = null } = alphasOf({ tokens }, index) ?? {};
    return { name, schedule: scheduleWords(schedule), meanAlpha: mean, lastAlpha: last };
  });
  const said = { question, text, ...(thoughts !== "" && { thoughts }), finishReason };
  return { ...said, promptTokens: result?.promptTokens, tokens: tokens.length, seconds, steering };
}

/** The lines of UTF-8 bytes. Throws E_BAD_ARGUMENT for others, and for a line that is too long. */
export async function* linesOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  for await (const bytes of input) {
    const lines = (rest + decode(decoder, bytes)).split("\n");
    rest = lines.pop()!;
    if ([...lines, rest].some((line) => line.length > MAX_LINE)) {
      throw new SteeringError("E_BAD_ARGUMENT", `a line of the input has more than ${MAX_LINE} characters; expected one question per line`);
    }
    for (const line of lines) yield line.replace(/\r$/, "");
  }
  rest += decode(decoder);
  if (rest !== "") yield rest;
}

function decode(decoder: InstanceType<typeof TextDecoder>, bytes?: Uint8Array): string {
  try {
    return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
  } catch (cause) {
    throw new SteeringError("E_BAD_ARGUMENT", "the input is not UTF-8", { cause });
  }
}
