import type { Engine } from "../engine/index.js";
import { isThoughtMark, openingOf, ThoughtReader, type Opening, type Phase } from "../prompt/index.js";

/** When a token is decided: in which phase, and after how many steps of each phase. */
export interface Moment {
  phase: Phase;
  before: Readonly<Record<Phase, number>>;
}

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

/** Follows the phases of a generation, token by token. */
export class PhaseClock {
  private readonly reader: ThoughtReader;
  private readonly decoder = new TextDecoder();
  private readonly before = { thinking: 0, answer: 0 };

  constructor(private readonly model: Vocabulary, opening: Opening) {
    this.reader = new ThoughtReader(opening);
  }

  /** The moment at which the next token is decided. */
  now(): Moment {
    return { phase: this.reader.phase, before: { ...this.before } };
  }

  /** Takes the token that was decided, and its bytes; returns the phase of its text. */
  take(token: number, bytes: Uint8Array): Phase {
    this.before[this.reader.phase]++;
    return this.reader.push(hiddenMark(this.model, token) || this.decoder.decode(bytes, { stream: true }));
  }
}

function specialTexts(model: Vocabulary): Map<number, string> {
  const special = model.specialTokens();
  const texts = known.get(special) ?? new Map(special.tokens.map(({ token, text }) => [token, text]));
  known.set(special, texts);
  return texts;
}
