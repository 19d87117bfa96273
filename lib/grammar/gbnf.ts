import { grammarError } from "./limits.js";
import { RuleSet, type Element } from "./rules.js";

/** Groups may nest this deeply; the parser recurses once per level. */
const MAX_DEPTH = 100;
const MAX_CHARACTERS = 2 ** 18;
const LAST_CODE_POINT = 0x10ffff;

interface Token {
  kind: "name" | "define" | "literal" | "class" | "symbol" | "repeat" | "end";
  text: string;
  /** Code points of a literal, or the ranges of a class in pairs. */
  points: number[];
  /** Least and largest count of a repetition. */
  counts: [number, number];
  line: number;
  startsLine: boolean;
}

const COUNTS: Record<string, [number, number]> = { "*": [0, Infinity], "+": [1, Infinity], "?": [0, 1] };
const ESCAPES: Record<string, number> = { n: 10, r: 13, t: 9 };

/**
 * Parses a grammar in llama.cpp's notation (GBNF); its first rule is `root`. Throws E_BAD_GRAMMAR with the line.
 *
 * It never recurses deeper than `MAX_DEPTH`, and repetitions share the rule that they repeat, so the result is at most as large as the
 * text and its counts.
 */
export function parseGbnf(text: string, most = MAX_CHARACTERS): RuleSet {
  if (text.length > most) throw grammarError(`it has ${text.length} characters; expected at most ${most}`);
  return new Parser(tokensOf(text)).parse();
}

class Parser {
  private at = 0;
  private readonly rules = new RuleSet();

  constructor(private readonly tokens: readonly Token[]) {}

  parse(): RuleSet {
    while (this.peek().kind !== "end") {
      const name = this.take("name", "a rule, e.g. root ::= …");
      this.take("define", `::= after ${name.text}`);
      if (!this.rules.define(name.text, this.alternatives(0))) throw problem(name, `the rule ${name.text} is defined twice`);
    }
    return this.rules;
  }

  private alternatives(depth: number): Element[][] {
    const all = [this.sequence(depth)];
    while (this.isSymbol("|")) {
      this.at++;
      all.push(this.sequence(depth));
    }
    return all;
  }

  private sequence(depth: number): Element[] {
    const elements: Element[] = [];
    for (let isFirst = true; ; isFirst = false) {
      const item = this.item(depth, isFirst);
      if (!item) return elements;
      const { kind, counts } = this.peek();
      if (kind === "repeat") {
        const repeat = this.tokens[this.at++]!;
        if (this.peek().kind === "repeat") throw problem(this.peek(), "two repetitions follow each other; put the first into parentheses");
        if (!this.rules.canRepeat(counts)) throw problem(repeat, `the repetition ${repeat.text} is too large`);
        elements.push(this.rules.repeated(item, counts));
      } else for (const each of item) elements.push(each); // a spread of many arguments overflows the stack
    }
  }

  /** What a repetition would repeat; undefined at the end of the sequence. */
  private item(depth: number, isFirst: boolean): Element[] | undefined {
    const token = this.peek();
    const isNewRule = token.kind === "name" && this.tokens[this.at + 1]!.kind === "define";
    if (token.kind === "end" || isNewRule || (token.kind === "symbol" && "|)".includes(token.text))) return undefined;
    if (depth === 0 && token.startsLine && !isFirst) throw problem(token, `expected a rule (name ::= …), not ${token.text}`);
    this.at++;
    switch (token.kind) {
      case "literal": return this.rules.literal(token.points);
      case "class": return [this.rules.characters(token.points)];
      case "name": return [this.rules.reference(token.text)];
      case "symbol": if (token.text === "(") return [this.group(token, depth)];
    }
    throw problem(token, `unexpected ${token.text}`);
  }

  private group(opening: Token, depth: number): Element {
    if (depth === MAX_DEPTH) throw problem(opening, `more than ${MAX_DEPTH} parentheses are nested`);
    const inner = this.alternatives(depth + 1);
    if (!this.isSymbol(")")) throw problem(opening, "this parenthesis is not closed");
    this.at++;
    return this.rules.anonymous(inner);
  }

  private peek(): Token {
    return this.tokens[this.at]!;
  }

  private isSymbol(text: string): boolean {
    return this.peek().kind === "symbol" && this.peek().text === text;
  }

  private take(kind: Token["kind"], expected: string): Token {
    const token = this.tokens[this.at]!;
    if (token.kind !== kind) throw problem(token, `expected ${expected}`);
    this.at++;
    return token;
  }
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let [at, line, startsLine] = [0, 1, true];
  const add = (kind: Token["kind"], length: number, more: Partial<Token> = {}): void => {
    tokens.push({ kind, text: text.slice(at, at + length), points: [], counts: [1, 1], line, startsLine, ...more });
    [at, startsLine] = [at + length, false];
  };
  const matches = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  const patterns = { blank: /[ \t\r]+|#[^\n]*/y, name: /[A-Za-z0-9_-]+/y, counts: /\{\s*(\d{1,9})\s*(?:(,)\s*(\d{1,9})?\s*)?\}/y };
  while (at < text.length) {
    const character = text[at]!;
    const [blank, name, counts] = [matches(patterns.blank), matches(patterns.name), matches(patterns.counts)];
    if (character === "\n") [at, line, startsLine] = [at + 1, line + 1, true];
    else if (blank) at += blank[0].length;
    else if (text.startsWith("::=", at)) add("define", 3);
    else if (name) add("name", name[0].length);
    else if (counts) {
      const [whole, least, comma, most] = counts;
      add("repeat", whole.length, { counts: [Number(least), most === undefined ? (comma ? Infinity : Number(least)) : Number(most)] });
    } else if (Object.hasOwn(COUNTS, character)) add("repeat", 1, { counts: COUNTS[character]! });
    else if (character === ".") add("class", 1, { points: [0, LAST_CODE_POINT] });
    else if ("|()".includes(character)) add("symbol", 1);
    else if (character === "\"" || character === "[") {
      const read = character === "\"" ? readLiteral(text, at, line) : readClass(text, at, line);
      add(character === "\"" ? "literal" : "class", read.length, { points: read.points });
    } else throw grammarError(`line ${line}: unexpected ${JSON.stringify(character)}`);
  }
  add("end", 0, { text: "the end" });
  return tokens;
}

interface Read {
  points: number[];
  length: number;
}

function readLiteral(text: string, start: number, line: number): Read {
  const points: number[] = [];
  let at = start + 1;
  while (text[at] !== "\"") {
    const { point, length } = readPoint(text, at, line);
    points.push(point);
    at += length;
  }
  return { points, length: at + 1 - start };
}

function readClass(text: string, start: number, line: number): Read {
  const ranges: number[] = [];
  const isNegated = text[start + 1] === "^";
  let at = start + (isNegated ? 2 : 1);
  while (text[at] !== "]") {
    const first = readPoint(text, at, line);
    at += first.length;
    const isRange = text[at] === "-" && text[at + 1] !== "]";
    const last = isRange ? readPoint(text, at + 1, line) : first;
    if (isRange) at += 1 + last.length;
    if (last.point < first.point) throw grammarError(`line ${line}: a range in […] ends before it begins`);
    ranges.push(first.point, last.point);
  }
  return { points: isNegated ? complement(ranges) : ranges, length: at + 1 - start };
}

function readPoint(text: string, at: number, line: number): { point: number; length: number } {
  const point = text.codePointAt(at);
  if (point === undefined || point === 10) throw grammarError(`line ${line}: a literal or […] is not closed`);
  if (point !== 0x5c) return { point: checked(point, line), length: point > 0xffff ? 2 : 1 };
  const hex = /^\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/.exec(text.slice(at, at + 10));
  if (hex) return { point: checked(parseInt(hex[1] ?? hex[2] ?? hex[3]!, 16), line), length: hex[0].length };
  const escaped = text[at + 1] ?? "";
  if (escaped !== "" && "\"\\[]-^".includes(escaped)) return { point: escaped.codePointAt(0)!, length: 2 };
  const known = Object.hasOwn(ESCAPES, escaped) ? ESCAPES[escaped] : undefined;
  if (known !== undefined) return { point: known, length: 2 };
  const expected = '\\n \\r \\t \\" \\\\ \\[ \\] \\xNN \\uNNNN \\UNNNNNNNN';
  throw grammarError(`line ${line}: unknown escape \\${escaped}; expected one of ${expected}`);
}

function checked(point: number, line: number): number {
  if (point <= LAST_CODE_POINT && !(point >= 0xd800 && point <= 0xdfff)) return point;
  throw grammarError(`line ${line}: U+${point.toString(16).toUpperCase()} is not a character`);
}

function complement(ranges: readonly number[]): number[] {
  const pairs = Array.from({ length: ranges.length / 2 }, (_, i) => [ranges[2 * i]!, ranges[2 * i + 1]!] as const);
  pairs.sort((a, b) => a[0] - b[0]);
  const result: number[] = [];
  let next = 0;
  for (const [first, last] of pairs) {
    if (first > next) result.push(next, first - 1);
    next = Math.max(next, last + 1);
  }
  if (next <= LAST_CODE_POINT) result.push(next, LAST_CODE_POINT);
  return result;
}

function problem({ line }: Token, what: string): Error {
  return grammarError(`line ${line}: ${what}`);
}
