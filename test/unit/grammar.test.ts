import { describe, expect, test } from "@jest/globals";
import { z } from "zod";
import { Automaton, type State } from "../../lib/grammar/automaton.js";
import { parseGbnf } from "../../lib/grammar/gbnf.js";
import { Constraints, Vocabulary } from "../../lib/grammar/index.js";
import { schemaToGbnf } from "../../lib/grammar/json-schema.js";
import { utf8Ranges } from "../../lib/grammar/utf8.js";
import { seededRandom } from "../../lib/maths/index.js";

/** A vocabulary of all bytes, some longer tokens, and an end. */
const LONGER = ["ab", "abc", "\":", "{\"", "true", "é", "12", "\": ", "\n  ", ", "];
const END = 256 + LONGER.length;
const texts = [...Array.from({ length: 256 }, (_, byte) => Buffer.from([byte])), ...LONGER.map((text) => Buffer.from(text))];

function vocabulary(): Vocabulary {
  const sorted = [...texts.entries()].sort(([, a], [, b]) => Buffer.compare(a, b));
  let end = 0;
  const offsets = [0, ...sorted.map(([, bytes]) => end += bytes.length)];
  const [tokens, bytes] = [sorted.map(([token]) => token), Buffer.concat(sorted.map(([, each]) => each))];
  return new Vocabulary(END + 1, { tokens: Int32Array.from(tokens), offsets: Int32Array.from(offsets), bytes, ends: Int32Array.of(END) });
}

/** Tells whether a grammar matches a text. */
function matcher(grammar: string): (text: string | Uint8Array) => boolean {
  const automaton = new Automaton(parseGbnf(grammar));
  return (text) => {
    let state: State | null = automaton.start;
    for (const byte of Buffer.from(text)) state = state && automaton.after(state, byte);
    return state?.accepts ?? false;
  };
}

const matches = (grammar: string, text: string | Uint8Array): boolean => matcher(grammar)(text);

const isAllowed = (mask: Int32Array, token: number): boolean => ((mask[token >> 5]! >> (token & 31)) & 1) === 1;

/** A text that the grammar leads to when tokens are drawn at random; it ends when it may. */
function walk(constraints: Constraints, what: object, random: () => number, most = 400): string | undefined {
  const constraint = constraints.create(what);
  const parts: Buffer[] = [];
  while (parts.length < most) {
    const mask = constraint.allowed();
    if (isAllowed(mask, END)) return Buffer.concat(parts).toString();
    const tokens = texts.map((_, token) => token).filter((token) => isAllowed(mask, token));
    const bytes = texts[tokens[Math.floor(random() * tokens.length)]!]!;
    parts.push(bytes);
    constraint.accept(bytes);
  }
  return undefined;
}

describe("GBNF matches what an equal regular expression matches", () => {
  const alphabet = ["", "a", "b", "c"];
  const words = alphabet.flatMap((a) => alphabet.flatMap((b) => alphabet.flatMap((c) => alphabet.map((d) => a + b + c + d))));
  test.each<[string, RegExp]>([
    ["root ::= \"a\"* \"b\"+ \"c\"?", /^a*b+c?$/], ["root ::= (\"a\" | \"bc\"){2}", /^(a|bc){2}$/], ["root ::= [^a]{1,3}", /^[^a]{1,3}$/],
    ["root ::= x x\nx ::= \"a\" | \"b\" | \"\"", /^[ab]{0,2}$/], ["root ::= ((\"a\"?)*)* \"c\"", /^a*c$/],
    ["root ::= \"a\"{2,} # two\n", /^a{2,}$/],
    ["root ::=\n  [a-b]\n  | (\"c\"\n  \"a\")", /^([ab]|ca)$/], ["root ::= \"a\" root \"b\" | \"\"", /^(|ab|aabb)$/],
    ["root ::= | \"b\"", /^b?$/],
    ["root ::= . \"\\x62\"", /^.b$/], ["root ::= \"c\"{0}", /^$/], ["root ::= a-b\na-b ::= \"a\" (\"b\" a-b)?", /^a(ba)*$/],
  ])("%p", (grammar, expected) => {
    expect(words.filter(matcher(grammar))).toEqual(words.filter((word) => expected.test(word)));
  });

  test("characters beyond ASCII, as UTF-8 and nothing else", () => {
    for (const text of ["é", "日", "😀", "\u{10ffff}", "\0"]) expect(matches("root ::= .", text)).toBe(true);
    expect(matches("root ::= [à-ü]", "é")).toBe(true);
    expect(matches("root ::= [^à-ü]", "é")).toBe(false);
    expect(matches("root ::= \"\\u65e5\\U0001F600\"", "日😀")).toBe(true);
    for (const bytes of [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]]) expect(matches(
      "root ::= .", Buffer.from(bytes),
    )).toBe(false);
  });

  test("ranges of bytes: each character of a range once, no other", () => {
    const wrong: number[] = [];
    for (const [first, last] of [[0, 0x7f], [0x70, 0x900], [0x7ff, 0x10010], [0xd000, 0xe100], [0x3fff, 0x4001]] as const) {
      const sequences = utf8Ranges(first, last);
      for (let point = Math.max(0, first - 40); point < Math.min(last + 40, first + 3000); point++) {
        if (point >= 0xd800 && point < 0xe000) continue;
        const bytes = Buffer.from(String.fromCodePoint(point));
        const n = sequences.filter(
          (each) => each.length === bytes.length && each.every(({ low, high }, i) => bytes[i]! >= low && bytes[i]! <= high),
        ).length;
        if (n !== (point >= first && point <= last ? 1 : 0)) wrong.push(point);
      }
    }
    expect(wrong).toEqual([]);
  });
});

describe("masks", () => {
  test("a token is allowed if and only if its bytes are, one after the other", () => {
    for (const grammar of ["root ::= [a-c]{2,3}", "root ::= \"é\" | \"{\\\"\" .*", schemaToGbnf({ type: "object" })]) {
      const automaton = new Automaton(parseGbnf(grammar));
      const constraint = new Constraints(vocabulary()).create({ grammar });
      const expected = texts.map((bytes) => {
        let state: State | null = automaton.start;
        for (const byte of bytes) state = state && automaton.after(state, byte);
        return state !== null;
      });
      const mask = constraint.allowed();
      expect(texts.map((_, token) => isAllowed(mask, token))).toEqual(expected);
      expect(isAllowed(mask, END)).toBe(automaton.start.accepts);
    }
  });

  test("the end only where the text may end, and then alone if nothing may follow", () => {
    const constraint = new Constraints(vocabulary()).create({ grammar: "root ::= \"ab\"" });
    expect(isAllowed(constraint.allowed(), END)).toBe(false);
    constraint.accept(Buffer.from("ab"));
    const mask = constraint.allowed();
    expect([isAllowed(mask, END), texts.some((_, token) => isAllowed(mask, token))]).toEqual([true, false]);
  });

  test("texts of one grammar do not disturb each other", () => {
    const constraints = new Constraints(vocabulary());
    const [a, b] = [constraints.create({ grammar: "root ::= \"abc\"" }), constraints.create({ grammar: "root ::= \"abc\"" })];
    a.accept(Buffer.from("ab"));
    expect(isAllowed(b.allowed(), 97)).toBe(true);
    expect(isAllowed(a.allowed(), 99)).toBe(true);
  });
});

describe("JSON schemas", () => {
  const tree: z.ZodType = z.strictObject({ name: z.string(), get children() { return z.array(tree).max(2).optional(); } });
  const schemas: Record<string, z.ZodType> = {
    object: z.strictObject({ a: z.string(), b: z.int(), c: z.boolean().optional(), "d é\"\\": z.null() }),
    optional: z.strictObject({ a: z.int().optional(), b: z.int().optional(), c: z.int().optional() }),
    lists: z.strictObject({ a: z.array(z.int()).min(1).max(3), b: z.array(z.boolean()).min(2), c: z.tuple([z.int(), z.string()]) }),
    choice: z.union([z.literal("x"), z.literal(5), z.strictObject({ a: z.enum(["p", "q"]) })]),
    strings: z.strictObject({ a: z.string().min(2).max(4), b: z.string().max(0) }),
    numbers: z.strictObject({ a: z.number(), b: z.int().min(0), c: z.int().positive(), d: z.number().min(0) }),
    map: z.record(z.string(), z.int()), nullable: z.strictObject({ a: z.int().nullable() }), tree,
  };

  test.each(Object.keys(schemas))("%s: random texts are valid, and valid values are texts", (name) => {
    const schema = schemas[name]!;
    const jsonSchema = z.toJSONSchema(schema);
    const [constraints, random] = [new Constraints(vocabulary()), seededRandom(7)];
    const found = Array.from({ length: 40 }, () => walk(constraints, { jsonSchema }, random)).filter((text) => text !== undefined);
    expect(found.length).toBeGreaterThan(10);
    const isText = matcher(schemaToGbnf(jsonSchema));
    for (const text of found) {
      const value: unknown = JSON.parse(text);
      expect(() => schema.parse(value)).not.toThrow();
      expect([value, isText(JSON.stringify(value))]).toEqual([value, true]);
    }
  });

  test.each<[unknown, string[], string[]]>([
    [true, ["{}", "[1,\"a\"]", "-1.5e10", "null"], ["{a:1}", "[1,]", "01", "1e999", "\"\n\""]], [{}, ["{ \"a\": [] }"], [""]],
    [
      { type: "object", properties: { a: { type: "integer" } }, additionalProperties: { type: "boolean" } },
      ["{}", "{\"a\":1}", "{\"x\":true,\"y\":false}", "{\"a\":1,\"x\":true}"], ["{\"x\":1}", "{\"a\":1,}"],
    ],
    [{ type: ["string", "null"] }, ["null", "\"x\""], ["1"]], [{ const: { a: [1] } }, ["{\"a\":[1]}"], ["{}"]],
    [{ enum: ["é", 1, null] }, ["\"é\"", "1"], ["2"]],
    [{ items: { type: "integer" } }, ["[1, 2]"], ["[true]"]],
    [{ $ref: "#/$defs/x~1y", $defs: { "x/y": { type: "null" } } }, ["null"], ["1"]],
    [
      { type: "object", properties: { next: { anyOf: [{ $ref: "#" }, { type: "null" }] } }, required: ["next"] },
      ["{\"next\":{\"next\":null}}"], ["{}"],
    ],
    [{ type: "array", maxItems: 0 }, ["[]"], ["[1]"]], [{ type: "object", additionalProperties: false }, ["{}"], ["{\"a\":1}"]],
    [{ allOf: [{ type: "boolean" }], description: "d" }, ["true"], ["1"]],
  ])("%j", (schema, yes, no) => {
    const grammar = schemaToGbnf(schema);
    for (const text of yes) expect([text, matches(grammar, text)]).toEqual([text, true]);
    for (const text of no) expect([text, matches(grammar, text)]).toEqual([text, false]);
  });

  const cycle: Record<string, unknown> = {};
  cycle["a"] = cycle;
  let deep: unknown = true;
  for (let i = 0; i < 2000; i++) deep = { items: deep };
  test.each<[unknown, RegExp]>([
    [null, /expected an object/], [[], /expected an object/], [5, /expected an object/], [false, /allows nothing/], [undefined, /not JSON/],
    [cycle, /nested/], [7n, /not JSON/], [{ default: NaN }, /not JSON/], [deep, /nested/],
    [{ type: "string", pattern: "a" }, /pattern is not supported/], [{ type: "thing" }, /unknown type "thing"/],
    [{ type: 5 }, /unknown type/], [{ type: "integer", minimum: 3 }, /bounds/], [{ type: "number", maximum: 3 }, /not supported/],
    [{ $ref: "http://x/y" }, /pointer/], [{ $ref: "#/none" }, /no such schema/], [{ $ref: "#" }, /no text|itself/],
    [{ anyOf: [] }, /not empty/], [{ enum: "x" }, /expected a list/], [{ anyOf: [{ $ref: "#" }, { $ref: "#" }] }, /no text|itself/],
    [{ required: ["x"] }, /not among/], [{ type: "string", minLength: 3, maxLength: 2 }, /above/],
    [{ type: "string", minLength: -1 }, /whole numbers/], [{ type: "string", maxLength: 1e9 }, /too large|elements/],
    [{ type: "array", minItems: 1e15 }, /too large|unexpected/], [{ allOf: [{}, {}] }, /allOf/],
    [{ type: "object", properties: { a: 1 } }, /expected an object/], [{ properties: [] }, /expected an object/],
    [{ not: {} }, /not is not supported/],
    [{ type: "object", properties: { a: { $ref: "#/properties/a" } }, required: ["a"] }, /no token|no text|itself/],
    [{ $ref: "#/$defs/__proto__" }, /no such schema/], [{ type: "constructor" }, /unknown type/],
  ])("%p is refused", (jsonSchema, why) => {
    let message = "";
    try {
      walk(new Constraints(vocabulary()), { jsonSchema }, seededRandom(1));
    } catch (error) {
      expect(error).toMatchObject({ code: "E_BAD_GRAMMAR" });
      ({ message } = error as Error);
    }
    expect(message).toMatch(why);
  });
});
