/** What a model is writing: what it thinks before it answers, or the answer. */
export type Phase = "thinking" | "answer";

/** Marks around the thoughts of different models. */
const MARKS = [
  ...["think", "thinking", "thought", "seed:think", "mm:think", "think:opensource"].map((name) => ({ open: `<${name}>`, close: `</${name}>` })),
  { open: "[THINK]", close: "[/THINK]" },
  { open: "◁think▷", close: "◁/think▷" },
  { open: "<|START_THINKING|>", close: "<|END_THINKING|>" },
  { open: "<|channel>thought", close: "<channel|>" },
  { open: "<|inner_prefix|>", close: "<|inner_suffix|>" },
];

/**
 * Marks around a model's thoughts. Earlier answers keep these marks: the template may look for them, and they do not end a turn.
 */
export const THOUGHT_MARKS = /<\/?(?:\w+:)?think(?:ing|:\w+)?>|\[\/?THINK\]|<\|(?:START|END)_THINKING\|>|<\|channel>|<channel\|>/g;

/** Marks of gpt-oss, which writes messages to channels; its answer is the text of the channel "final". */
const CHANNEL = "<|channel|>";
const MESSAGE = "<|message|>";
const FINAL = /<\|channel\|>final.*?<\|message\|>/gs;
const NEXT_MARK = /<\|(?:channel|message|start|end|return|call|constrain)\|>/;

/** What begins a message of a model that writes its thoughts and its answer as messages: the phase of its text, and what ends it. */
interface MessageStart {
  mark: string;
  /** In gpt-oss, the channel tells. */
  phase: Phase | "by channel";
  ends: readonly string[];
}
const GPT_OSS_ENDS = ["<|end|>", "<|start|>", "<|return|>", "<|call|>", CHANNEL];
const [SOLAR_ENDS, KIMI_ENDS] = [["<|end|>"], ["<|close|>"]];
const STARTS: readonly MessageStart[] = [
  { mark: MESSAGE, phase: "by channel", ends: GPT_OSS_ENDS },
  { mark: "<|think|>", phase: "thinking", ends: SOLAR_ENDS },
  { mark: "<|content|>", phase: "answer", ends: SOLAR_ENDS },
  { mark: "<|open|>think<|sep|>", phase: "thinking", ends: KIMI_ENDS },
  { mark: "<|open|>response<|sep|>", phase: "answer", ends: KIMI_ENDS },
];
/** Where a text that begins with one of these has messages. */
const HEADERS = [CHANNEL, "<|begin|>assistant", ...STARTS.slice(1).map(({ mark }) => mark)];

/** Templates of Solar Open and Kimi K3, whose marks mean other things elsewhere. */
const SOLAR = { template: "assistant<|think|>", tokens: ["<|think|>", "<|content|>", "<|begin|>", "<|end|>"] };
const KIMI = { template: "'<|open|>'", tokens: ["<|open|>", "<|close|>", "<|sep|>"] };

/**
 * Returns an earlier answer in the form that its template accepts. Templates with channels refuse answers that contain channel marks:
 * they get the text of the last final channel, or an empty text if the answer has none. Templates that write messages of their own around
 * a thought and its answer get the answer. Other templates cut the thoughts themselves.
 */
export function answerOf(text: string, template: string): string {
  const isWrapped = [SOLAR, KIMI].some((each) => template.includes(each.template)) && STARTS.some(({ mark }) => text.includes(mark));
  if (isWrapped) return splitThoughts(text).answer;
  if (!template.includes(CHANNEL) || !text.includes(CHANNEL)) return text;
  const final = [...text.matchAll(FINAL)].at(-1);
  return final ? text.slice(final.index + final[0].length).split(NEXT_MARK)[0]! : "";
}

const OWN_TOKENS = new Set([
  ...MARKS.flatMap(({ open, close }) => [open, close]), "<|channel>", CHANNEL, MESSAGE, "<|start|>", "<|end|>", "<|return|>", "<|call|>",
]);

/** True for the text of a special token that marks thoughts, in models with this template. */
export function isThoughtMark(text: string, template: string | null): boolean {
  return OWN_TOKENS.has(text) || [SOLAR, KIMI].some((own) => template?.includes(own.template) && own.tokens.includes(text));
}

/** How a model's text begins. */
export interface Opening {
  /** The mark with which the prompt has opened a thought, or a message; empty if it has opened none. */
  opened: string;
  /** The phase that the first token is expected to be in. */
  phase: Phase;
}

/** A text that opens no thought before the model does. */
export const NO_THOUGHT: Opening = { opened: "", phase: "answer" };

/**
 * Tells how the text after a prompt begins. A prompt may end with the mark that opens a thought, or with one that closes it. If a
 * template knows thoughts, and the prompt is one that it wrote (`isChat`), the model is expected to think first.
 */
export function openingOf(endOfPrompt: string, template: string | null, isChat: boolean): Opening {
  const end = endOfPrompt.trimEnd();
  const openedChannel = /<\|channel\|>(?!final)\w+<\|message\|>$/.exec(end);
  const opened = openedChannel?.[0] ?? MARKS.find(({ open }) => end.endsWith(open))?.open;
  if (opened !== undefined) return { opened, phase: "thinking" };
  const start = STARTS.find(({ mark, phase }) => phase !== "by channel" && end.endsWith(mark));
  if (start) return { opened: start.mark, phase: start.phase as Phase };
  if (FINAL_AT_END.test(end) || end.endsWith(NO_SOLAR_THOUGHT) || MARKS.some(({ close }) => end.endsWith(close))) return NO_THOUGHT;
  const marks = [CHANNEL, SOLAR.template, ...MARKS.map(({ open }) => open)];
  const thinks = isChat && template !== null && marks.some((mark) => template.includes(mark));
  return { opened: "", phase: thinks ? "thinking" : "answer" };
}

const FINAL_AT_END = /<\|channel\|>final<\|message\|>$/;
const NO_SOLAR_THOUGHT = "<|think|><|end|><|begin|>assistant";

/** A model's text, its thoughts told apart from its answer. */
export interface ThoughtsAndAnswer {
  thoughts: string;
  answer: string;
}

/** Splits a whole text. Its marks belong to neither part; nor does the white space after a thought. */
export function splitThoughts(text: string, opening: Opening = NO_THOUGHT): ThoughtsAndAnswer {
  const reader = new ThoughtReader(opening);
  reader.push(text);
  return reader.finish();
}

/**
 * Reads a model's text piece by piece and tells its thoughts from its answer. Marks may be split between pieces in any way. A thought can
 * begin at the start of the text or after another thought, not in the middle of an answer; it ends with its closing mark.
 */
export class ThoughtReader {
  private readonly parts: ThoughtsAndAnswer = { thoughts: "", answer: "" };
  /** Text that may be part of a mark. */
  private pending = "";
  private state: "opening" | "thought" | "answer" | "header" | "message" = "opening";
  private current: Phase;
  private close = "";
  /** What ends the current message. */
  private ends: readonly string[] = GPT_OSS_ENDS;
  private hasThought = false;

  constructor({ opened, phase }: Opening = NO_THOUGHT) {
    this.current = phase;
    const start = STARTS.find(({ mark }) => opened.endsWith(mark));
    if (start) this.enter("message", phase, start.ends);
    else if (opened !== "") this.think(opened);
  }

  /** The phase that the next piece is expected to be in. */
  get phase(): Phase {
    return this.current;
  }

  /** Adds a piece; returns its own phase, which is "answer" if any of it belongs to the answer. */
  push(piece: string): Phase {
    const [before, length] = [this.current, this.parts.answer.length];
    this.pending += piece;
    while (this.advance());
    if (this.parts.answer.length > length) return "answer";
    return before === "thinking" ? before : this.current;
  }

  /** Adds a piece, perhaps the last one; returns what it makes certain of each part. White space around thoughts is kept. */
  read(piece: string, isLast: boolean): ThoughtsAndAnswer {
    const [nThoughts, nAnswer] = [this.parts.thoughts.length, this.parts.answer.length];
    this.push(piece);
    if (isLast) this.finish();
    return { thoughts: this.parts.thoughts.slice(nThoughts), answer: this.parts.answer.slice(nAnswer) };
  }

  /** Ends the text; returns its parts. */
  finish(): ThoughtsAndAnswer {
    if (this.state === "opening" && this.hasThought) this.pending = this.pending.trimStart();
    const isAnswer = this.state === "opening" || this.current === "answer";
    if (this.state !== "header") this.take(isAnswer ? "answer" : "thoughts", this.pending.length);
    return { thoughts: this.parts.thoughts.trim(), answer: this.parts.answer };
  }

  /** Takes what is certain of the pending text; returns true if there may be more. */
  private advance(): boolean {
    switch (this.state) {
      case "opening": return this.open();
      case "thought": return this.until([this.close], "thoughts", () => this.enter("opening", "answer"));
      case "answer": return this.take("answer", this.pending.length);
      case "header": return this.header();
      case "message": return this.message();
    }
  }

  private open(): boolean {
    const text = this.pending.trimStart();
    const found = MARKS.find(({ open }) => text.startsWith(open));
    if (found) {
      this.pending = text.slice(found.open.length);
      this.think(found.open);
      return true;
    }
    if (HEADERS.some((mark) => text.startsWith(mark))) {
      this.enter("header", "thinking");
      return true;
    }
    if (text === "" || [...HEADERS, ...MARKS.map(({ open }) => open)].some((mark) => mark.startsWith(text))) return false;
    if (this.hasThought) this.pending = text;
    this.enter("answer", "answer");
    return true;
  }

  private message(): boolean {
    return this.until(this.ends, this.current === "answer" ? "answer" : "thoughts", () => this.enter("header", "thinking"));
  }

  private think(open: string): void {
    this.close = MARKS.find((marks) => marks.open === open)!.close;
    this.enter("thought", "thinking");
  }

  /** Skips a message's header, which tells whether the message is the answer. */
  private header(): boolean {
    const found = first(this.pending, STARTS.map(({ mark }) => mark));
    if (!found) return false;
    const { mark, phase, ends } = STARTS.find((start) => start.mark === found.mark)!;
    const isFinal = phase === "by channel" ? this.pending.slice(0, found.index).includes(`${CHANNEL}final`) : phase === "answer";
    this.pending = this.pending.slice(found.index + mark.length);
    this.enter("message", isFinal ? "answer" : "thinking", ends);
    return true;
  }

  /** Takes text until the first of some marks, which `met` handles. */
  private until(marks: readonly string[], part: keyof ThoughtsAndAnswer, met: () => void): boolean {
    const found = first(this.pending, marks);
    if (!found) {
      this.take(part, this.pending.length - heldBack(this.pending, marks));
      return false;
    }
    this.take(part, found.index);
    if (found.mark !== CHANNEL) this.pending = this.pending.slice(found.mark.length); // a channel's mark is part of the next header
    met();
    return true;
  }

  private take(part: keyof ThoughtsAndAnswer, length: number): boolean {
    this.parts[part] += this.pending.slice(0, length);
    this.pending = this.pending.slice(length);
    return false;
  }

  private enter(state: typeof this.state, phase: Phase, ends = this.ends): void {
    this.ends = ends;
    this.hasThought ||= state !== "answer" && state !== "opening";
    this.state = state;
    this.current = phase;
  }
}

/** The first of some marks in a text. */
function first(text: string, marks: readonly string[]): { mark: string; index: number } | undefined {
  return marks.map((mark) => ({ mark, index: text.indexOf(mark) })).filter(({ index }) => index >= 0).sort((a, b) => a.index - b.index)[0];
}

/** Length of the longest end of a text that is the beginning of a mark. */
function heldBack(text: string, marks: readonly string[]): number {
  const lengths = marks.flatMap((mark) => Array.from({ length: Math.min(mark.length - 1, text.length) }, (_, i) => i + 1)
    .filter((length) => text.endsWith(mark.slice(0, length))));
  return Math.max(0, ...lengths);
}
