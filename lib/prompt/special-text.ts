import { SteeringError } from "../errors.js";
import type { Engine } from "../engine/index.js";

type Vocabulary = Pick<Engine, "tokenise" | "specialTokens">;
type SpecialToken = ReturnType<Engine["specialTokens"]>["tokens"][number];

/** Marks of one template in one vocabulary. */
interface Marks {
  template: string;
  /** Longest first. */
  tokens: readonly SpecialToken[];
  /** What a mark begins with: a sign, or a word where the whole mark follows; undefined without any marks. */
  beginnings: RegExp | undefined;
}

/** From Unicode's private use area on, for what stands for the characters of messages that could begin a mark. */
const FIRST_STAND_IN = 0xe000;
const LAST_STAND_IN = 0xfffd;
/** User-defined tokens are often runs of spaces, or HTML tags, that any text may have; these alone look like marks of turns. */
const LOOKS_LIKE_A_MARK = /^[\p{P}\p{S}].*\p{L}.*[\p{P}\p{S}]$/su;
const HAS_BARS = /^[<[{][|｜].*[|｜][>\]}]$/su;
const BEGINS_WITH_A_SIGN = /^[\p{P}\p{S}]/u;
/** Of each vocabulary, those that were asked for last. */
const known = new WeakMap<object, Marks>();

/**
 * Keeps the messages of a chat apart from what its template writes around them: no text of a message becomes a special
 * token. While the template is rendered, every character of a message that could begin a mark is replaced by another of
 * the same length that stands for it, so that the template may cut, trim and join messages as it likes.
 */
export class SpecialText {
  private readonly marks: Marks;
  /** By what they stand for. */
  private readonly standIns = new Map<string, string>();
  private nextStandIn = FIRST_STAND_IN;

  /** `texts`: the messages; what stands for another character is in none of them. */
  constructor(private readonly model: Vocabulary, private readonly template: string, private readonly texts: readonly string[]) {
    this.marks = marksOf(model, template);
  }

  /** The text with stand-ins for the characters that could begin a mark; what matches `except` is left as it is. */
  guarded(text: string, except?: RegExp): string {
    if (!this.marks.beginnings) return text;
    const kept = except ? [...text.matchAll(except)] : [];
    let [guarded, from] = ["", 0];
    for (const { 0: found, index } of kept) {
      guarded += this.withStandIns(text.slice(from, index)) + found;
      from = index + found.length;
    }
    return guarded + this.withStandIns(text.slice(from));
  }

  /** Tokens of what was rendered: its own marks as special tokens, those of the messages as plain characters. BOS is not added. */
  tokens(rendered: string): number[] {
    return this.fragments(rendered)
      .flatMap((fragment) => (typeof fragment === "number" ? [fragment] : this.plainTokens(this.restored(fragment))));
  }

  /** With the characters that the stand-ins stand for. */
  restored(text: string): string {
    return [...this.standIns].reduce((restored, [letter, standIn]) => restored.replaceAll(standIn, letter), text);
  }

  private withStandIns(text: string): string {
    return text.replace(this.marks.beginnings!, (letter) => this.standIns.get(letter) ?? this.newStandIn(letter));
  }

  private newStandIn(letter: string): string {
    let standIn: string;
    do {
      if (this.nextStandIn > LAST_STAND_IN) {
        throw new SteeringError("E_BAD_ARGUMENT", "the messages use every character of Unicode's private use area: leave out one");
      }
      standIn = String.fromCharCode(this.nextStandIn++);
    } while ([this.template, ...this.texts].some((text) => text.includes(standIn)));
    this.standIns.set(letter, standIn);
    return standIn;
  }

  /** As llama.cpp splits a text at its special tokens: the longest token first, each from the left. */
  private fragments(text: string): Array<string | number> {
    let fragments: Array<string | number> = [text];
    for (const mark of this.marks.tokens) {
      if (!text.includes(mark.text)) continue;
      fragments = fragments.flatMap((fragment) => (typeof fragment === "string" ? split(fragment, mark) : [fragment]));
    }
    return fragments.filter((fragment) => fragment !== "");
  }

  /** Tokens of a text as plain characters. User-defined tokens are found in any text, so those that are marks are cut first. */
  private plainTokens(text: string): number[] {
    const cuts = new Set<number>([0, text.length]);
    for (const { text: mark, isUserDefined } of this.marks.tokens) {
      if (!isUserDefined) continue;
      const first = String.fromCodePoint(mark.codePointAt(0)!);
      for (let at = text.indexOf(mark); at >= 0; at = text.indexOf(mark, at + 1)) cuts.add(at + first.length);
    }
    const places = [...cuts].sort((a, b) => a - b);
    return places.slice(1).flatMap((to, index) => {
      const part = text.slice(places[index], to);
      return index === 0 ? this.model.tokenise(part, { bos: false }) : this.continued(part);
    });
  }

  /** Tokens of a text in the middle of another: without the space that SentencePiece puts before a text. */
  private continued(text: string): number[] {
    const before = this.model.tokenise("\n", { bos: false });
    const tokens = this.model.tokenise(`\n${text}`, { bos: false });
    if (before.every((token, index) => tokens[index] === token)) return tokens.slice(before.length);
    return this.model.tokenise(text, { bos: false });
  }
}

function marksOf(model: Vocabulary, template: string): Marks {
  const special = model.specialTokens();
  const last = known.get(special);
  if (last?.template === template) return last;
  const { bos, eos } = special;
  const tokens = special.tokens.filter(({ text, isUserDefined }) => !isUserDefined || text === bos || text === eos || HAS_BARS.test(text)
    || (LOOKS_LIKE_A_MARK.test(text) && template.includes(text)));
  const patterns = new Set(tokens.map(({ text }) => {
    const first = String.fromCodePoint(text.codePointAt(0)!);
    return BEGINS_WITH_A_SIGN.test(text) ? escaped(first) : `${escaped(first)}(?=${escaped(text.slice(first.length))})`;
  }));
  const marks = { template, tokens, beginnings: patterns.size === 0 ? undefined : new RegExp([...patterns].join("|"), "gu") };
  known.set(special, marks);
  return marks;
}

function split(text: string, { text: mark, token, stripsLeft, stripsRight }: SpecialToken): Array<string | number> {
  const parts = text.split(mark);
  return parts.flatMap((part, index) => {
    const isLast = index === parts.length - 1;
    // Without the white space that the tokens on either side swallow: what isspace() of C takes for such.
    let kept = stripsRight && index > 0 ? part.replace(/^[ \t-\r]+/, "") : part;
    if (stripsLeft && !isLast) kept = kept.replace(/[ \t-\r]+$/, "");
    return isLast ? [kept] : [kept, token];
  });
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
