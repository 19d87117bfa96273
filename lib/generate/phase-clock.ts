import type { Engine } from "../engine/index.js";
import type { TextSoFar } from "../steering/index.js";
import { isThoughtMark, openingOf, ThoughtReader, type Opening, type Phase } from "../prompt/index.js";

/** When a token is decided: in which phase, and after how many steps of each phase. */
export interface Moment {
  phase: Phase;
  before: Readonly<Record<Phase, number>>;
  /** What was generated; absent if no selector reads it. */
  soFar?: TextSoFar;
}

/** Begins with white space, or follows it. */
const WORD_START = /^\s/;
const WORD_END = /\s$/;

/** Tokens at the end of a prompt that may contain the start of the model's turn, and the mark of a thought. */
const LAST_TOKENS = 16;

interface Vocabulary extends Pick<Engine, "detokenise" | "info"> {
  /** @internal */
  specialTokens: Engine["specialTokens"];
}

/** The texts of special tokens, per vocabulary. */
const known = new WeakMap<object, Map<number, string>>();

/** The text of a token that marks thoughts but is never shown, such as `<|END_THINKING|>`; empty for all others. */
export function hiddenMark(model: Vocabulary, token: number): string {
  const text = specialTexts(model).get(token);
  return text !== undefined && isThoughtMark(text, model.info.chatTemplate ?? null) && model.detokenise([token]).length === 0 ? text : "";
}

/** How the text after a prompt begins. */
export function openingAfter(model: Vocabulary, prompt: readonly number[]): Opening {
  const special = specialTexts(model);
  const last = prompt.slice(-LAST_TOKENS);
  const end = last.map((token) => hiddenMark(model, token) || Buffer.from(model.detokenise([token])).toString()).join("");
  const isChat = last.some((token, index) => special.has(token) && (index > 0 || last.length < prompt.length));
  return openingOf(end, model.info.chatTemplate ?? null, isChat);
}

/** Follows the phases and the text of a generation, token by token. */
export class PhaseClock {
  private readonly reader: ThoughtReader;
  private readonly decoder = new TextDecoder();
  private readonly before = { thinking: 0, answer: 0 };
  private soFar: TextSoFar = { text: "", isWordStart: true };

  /** `readsText`: whether a selector reads the text now. */
  constructor(private readonly model: Vocabulary, opening: Opening, private readonly readsText: () => boolean = () => false) {
    this.reader = new ThoughtReader(opening);
  }

  /** The moment at which the next token is decided. */
  now(): Moment {
    return { phase: this.reader.phase, before: { ...this.before }, ...(this.readsText() && { soFar: this.soFar }) };
  }

  /** The moment after a token that is only guessed, if it does not end the phase. */
  after(token: number): Moment {
    const { phase, before, soFar } = this.now();
    const textOf = (): string => new TextDecoder().decode(this.model.detokenise([token]));
    return { phase, before: { ...before, [phase]: before[phase] + 1 }, ...(soFar && { soFar: textAfter(soFar, textOf()) }) };
  }

  /** Takes the token that was decided, and its bytes; returns the phase of its text. */
  take(token: number, bytes: Uint8Array): Phase {
    this.before[this.reader.phase]++;
    const text = this.decoder.decode(bytes, { stream: true });
    this.soFar = textAfter(this.soFar, text);
    return this.reader.push(hiddenMark(this.model, token) || text);
  }
}

/** A token begins a word if white space is at its beginning or before it; the first one always does. */
function textAfter({ text }: TextSoFar, piece: string): TextSoFar {
  return { text: text + piece, isWordStart: WORD_START.test(piece) || text === "" || WORD_END.test(text) };
}

function specialTexts(model: Vocabulary): Map<number, string> {
  const special = model.specialTokens();
  const texts = known.get(special) ?? new Map(special.tokens.map(({ token, text }) => [token, text]));
  known.set(special, texts);
  return texts;
}
