import { SteeringError } from "../errors.js";
import type { Engine } from "../engine/index.js";

type Vocabulary = Pick<Engine, "tokenise" | "specialTokens">;
type SpecialToken = ReturnType<Engine["specialTokens"]>["tokens"][number];

/** The special tokens of a vocabulary that count as marks of one template. */
interface Marks {
  template: string;
  /** Longest first. */
  tokens: readonly SpecialToken[];
  /** Matches the start of a mark: a sign, or a letter if the rest of the mark follows; undefined without marks. */
  beginnings: RegExp | undefined;
}

/** Range of stand-ins for characters of messages that could begin a mark; it starts in Unicode's private use area. */
const FIRST_STAND_IN = 0xe000;
const LAST_STAND_IN = 0xfffd;
/** User-defined tokens are often runs of spaces or HTML tags, which any text may contain; only those that match look like turn marks. */
const LOOKS_LIKE_A_MARK = /^[\p{P}\p{S}].*\p{L}.*[\p{P}\p{S}]$/su;
const HAS_BARS = /^[<[{][|｜].*[|｜][>\]}]$/su;
const BEGINS_WITH_A_SIGN = /^[\p{P}\p{S}]/u;
/** The most recently used marks of each vocabulary. */
const known = new WeakMap<object, Marks>();

/**
 * Keeps the messages of a chat separate from the text that its template writes around them, so that no text of a message becomes a
 * special token. While the template is rendered, a stand-in of the same length replaces every character of a message that could begin a
 * mark, so that the template may cut, trim and join messages freely.
 */
export class SpecialText {
  private readonly marks: Marks;
  /** By the character that they replace. */
  private readonly standIns = new Map<string, string>();
  private nextStandIn = FIRST_STAND_IN;

  /** `texts`: the messages; none of them contains a stand-in. */
  constructor(private readonly model: Vocabulary, private readonly template: string, private readonly texts: readonly string[]) {
    this.marks = marksOf(model, template);
  }

  /** Replaces the characters that could begin a mark with stand-ins, except in matches of `except`. */
  checked(text: string, except?: RegExp): string {
    if (!this.marks.beginnings) return text;
    const kept = except ? [...text.matchAll(except)] : [];
    let [guarded, from] = ["", 0];
    for (const { 0: found, index } of kept) {
      guarded += this.withStandIns(text.slice(from, index)) + found;
      from = index + found.length;
    }
    return guarded + this.withStandIns(text.slice(from));
  }

  /** Tokenises a rendered text: the template's marks as special tokens, those in messages as plain characters. Does not add BOS. */
  tokens(rendered: string): number[] {
    return this.fragments(rendered)
      .flatMap((fragment) => (typeof fragment === "number" ? [fragment] : this.plainTokens(this.restored(fragment))));
  }

  /** Puts the original characters back in place of their stand-ins. */
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
        throw new SteeringError("E_BAD_ARGUMENT", "the messages use every character of Unicode's private use area: remove one of them");
      }
      standIn = String.fromCharCode(this.nextStandIn++);
    } while ([this.template, ...this.texts].some((text) => text.includes(standIn)));
    this.standIns.set(letter, standIn);
    return standIn;
  }

  /** Splits a text at its special tokens as llama.cpp does: the longest token first, each from the left. */
  private fragments(text: string): Array<string | number> {
    let fragments: Array<string | number> = [text];
    for (const mark of this.marks.tokens) {
      if (!text.includes(mark.text)) continue;
      fragments = fragments.flatMap((fragment) => (typeof fragment === "string" ? split(fragment, mark) : [fragment]));
    }
    return fragments.filter((fragment) => fragment !== "");
  }

  /** Tokenises a text as plain characters. User-defined tokens are matched in any text, so marks among them are cut apart first. */
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

  /** Tokenises a text in the middle of another: without the space that SentencePiece adds at the start of a text. */
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
    // Remove the white space (in the sense of C's isspace()) that the tokens on either side strip.
    let kept = stripsRight && index > 0 ? part.replace(/^[ \t-\r]+/, "") : part;
    if (stripsLeft && !isLast) kept = kept.replace(/[ \t-\r]+$/, "");
    return isLast ? [kept] : [kept, token];
  });
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
