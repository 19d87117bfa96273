import { expect, test } from "@jest/globals";
import { Constraints, Vocabulary } from "../../lib/grammar/index.js";
import { seededRandom } from "../../lib/maths/index.js";

// Whatever a grammar is, it must neither end nor stall the process: each gives masks, or E_BAD_GRAMMAR, within seconds.
const LIMIT_MS = 5000; // on a busy machine; most take milliseconds
const STEPS = 30;

/** A vocabulary of all bytes and some pairs. */
const pairs = ["aa", "ab", "ba", "aaa", "((", "[[", "{\"", "\":", "00", "11", "\\u"];
const texts = [...Array.from({ length: 256 }, (_, byte) => Buffer.from([byte])), ...pairs.map((pair) => Buffer.from(pair))];
const sorted = [...texts.entries()].sort(([, a], [, b]) => Buffer.compare(a, b));
let end = 0;
const pieces = {
  tokens: Int32Array.from(sorted, ([token]) => token), offsets: Int32Array.from([0, ...sorted.map(([, bytes]) => end += bytes.length)]),
  bytes: Buffer.concat(sorted.map(([, bytes]) => bytes)), ends: Int32Array.of(texts.length),
};

/** Draws a text; "ok", or the message of E_BAD_GRAMMAR. */
function attempt(what: { grammar?: string; jsonSchema?: unknown }): string {
  const begun = performance.now();
  let outcome = "ok";
  try {
    const constraint = new Constraints(new Vocabulary(texts.length + 1, pieces)).create(what);
    const random = seededRandom(3);
    for (let step = 0; step < STEPS; step++) {
      const mask = constraint.allowed();
      const tokens = texts.map((_, token) => token).filter((token) => ((mask[token >> 5]! >> (token & 31)) & 1) === 1);
      if (tokens.length === 0) break;
      constraint.accept(texts[tokens[Math.floor(random() * tokens.length)]!]!);
    }
  } catch (error) {
    if ((error as { code?: string }).code !== "E_BAD_GRAMMAR") throw error;
    outcome = (error as Error).message;
  }
  expect(performance.now() - begun).toBeLessThan(LIMIT_MS);
  return outcome;
}

const times = (n: number, write: (i: number) => string): string => Array.from({ length: n }, (_, i) => write(i)).join("");
const OK = /^ok$/;

const HOSTILE: Array<[string, string, RegExp]> = [
  ["nothing", "", /no rule root/], ["blanks", " \n\t # x", /no rule root/], ["a name", "root", /expected ::=/], ["no body", "root ::=", OK],
  ["empty alternatives", `root ::= ${"| ".repeat(50_000)}`, OK], ["an undefined rule", "root ::= x", /x is not defined/],
  ["a rule twice", "root ::= \"a\"\nroot ::= \"b\"", /twice/], ["no root", "a ::= \"a\"", /no rule root/],
  ["unreachable rules", "root ::= \"a\"\nx ::= y\ny ::= x \"b\"", /x refers to itself|y refers to itself/],
  ["unclosed group", "root ::= (", /not closed/], ["unopened group", "root ::= )", /expected|unexpected/],
  ["unclosed literal", "root ::= \"a", /not closed/], ["unclosed class", "root ::= [a", /not closed/],
  ["100,000 groups", `root ::= ${"(".repeat(100_000)}`, /more than 100 parentheses/],
  ["99 groups", `root ::= ${"(".repeat(99)}"a"${")".repeat(99)}`, OK],
  ["many unclosed classes", `root ::= ${"[".repeat(100_000)}`, /not closed/], ["a stray brace", "root ::= \"a\"{", /unexpected/],
  ["a token reference", "root ::= <think>", /unexpected/],
  ["left recursion", "root ::= root \"a\" | \"b\"", /left recursion/],
  ["indirect left recursion", "root ::= x\nx ::= y \"b\"\ny ::= x | \"a\"", /left recursion/],
  ["hidden left recursion", "root ::= \"\" e root \"a\" | \"b\"\ne ::= \"x\"?", /left recursion/],
  ["nothing but itself", "root ::= root", /no text/], ["itself or a", "root ::= root | \"a\"", OK],
  ["a cycle", "root ::= a\na ::= b\nb ::= c\nc ::= a", /no text/], ["endless text", "root ::= \"a\" root", OK],
  ["a dead end", "root ::= \"a\" x\nx ::= x", /no token/], ["recursion in the middle", "root ::= \"a\" root \"b\" | \"\"", OK],
  ["a million a", "root ::= \"a\"{1000000}", /too large/], ["up to a million", "root ::= \"a\"{0,1000000}", /too large/],
  ["a billion", "root ::= \"a\"{999999999}", /too large/],
  ["a count of twenty digits", "root ::= \"a\"{99999999999999999999}", /unexpected/],
  ["counts in the wrong order", "root ::= \"a\"{5,2}", /too large|ends/], ["exactly the limit", "root ::= \"a\"{200000}", /elements/],
  ["up to 30,000", "root ::= \"a\"{0,30000}", OK],
  ["repetitions of repetitions", "root ::= (((((\"a\"{1000}){1000}){1000}){1000}){1000}){1000}", OK],
  [
    "optional repetitions of repetitions", "root ::= (((((\"a\"{0,300}){0,300}){0,300}){0,300}){0,300}){0,300}",
    /ok|too many ways|too deeply/,
  ], ["stars of stars", "root ::= ((((\"a\"*)*)*)*)*", OK], ["plus of optional", "root ::= ((\"a\"?)+)+", OK],
  ["two repetitions", "root ::= \"a\"**", /two repetitions/],
  ["exponentially many stacks", "root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"\"", /ok|too many ways/],
  ["more of them", `root ::= ${times(50, (i) => `"a" root "${i}" | `)} ""`, /too many ways/],
  ["ambiguous sums", "root ::= e\ne ::= t (\"a\" e)?\nt ::= \"a\" | \"a\" e \"a\"", /ok|too many ways/],
  ["polynomially many", `root ::= ${"x ".repeat(2000)}\nx ::= "a"*`, OK],
  ["nested optional", `root ::= ${times(90, () => "(\"a\" ")}${")? ".repeat(90)}`, OK],
  ["many alternatives of one letter", `root ::= ${times(40_000, () => "\"a\" | ")}"b"`, /ok|too many/],
  ["many names", `root ::= ${times(8000, (i) => `"${i}" | `)}"x"`, /ok|too many|more than/],
  ["many rules", `root ::= r0\n${times(9000, (i) => `r${i} ::= "a" r${i + 1}\n`)}r9000 ::= "b"`, OK],
  ["a chain of rules", `root ::= r0\n${times(9000, (i) => `r${i} ::= r${i + 1}\n`)}r9000 ::= "b"`, OK],
  ["a chain of empty rules", `root ::= ${times(9000, (i) => `r${i} `)}"b"\n${times(9000, (i) => `r${i} ::= ""\n`)}`, OK],
  ["a long literal", `root ::= "${"a".repeat(190_000)}"`, OK], ["a longer literal", `root ::= "${"é".repeat(150_000)}"`, /elements/],
  ["a long grammar", " ".repeat(300_000), /characters/], ["a long comment", `root ::= "a" #${"#".repeat(200_000)}`, OK],
  ["a long name", `${"a".repeat(200_000)} ::= "a"`, /no rule root/], ["all characters", "root ::= .*", OK],
  ["no character", "root ::= [^\\x00-\\U0010FFFF]", /no text/], ["an empty class", "root ::= []", /no text/],
  ["a class of many ranges", `root ::= [${times(30_000, (i) => String.fromCodePoint(0x4e00 + (i % 20_000)))}]*`, /ok|too many|elements/],
  ["a range backwards", "root ::= [z-a]", /before it begins/], ["surrogates", "root ::= \"\\uD800\"", /not a character/],
  ["a lone surrogate", "root ::= \"\ud800\"", /not a character/], ["beyond Unicode", "root ::= \"\\UFFFFFFFF\"", /not a character/],
  ["an unknown escape", "root ::= \"\\q\"", /unknown escape/], ["half an escape", "root ::= \"\\x4\"", /unknown escape/],
  ["a backslash at the end", "root ::= \"\\", /unknown escape|not closed/], ["NUL", "root ::= \"\0\"", OK],
  ["a NUL outside", "root ::= \0", /unexpected/],
  ["replacement characters", "root ::= \"\ufffd\ufffd\"", OK],
  ["__proto__", "root ::= __proto__\n__proto__ ::= constructor\nconstructor ::= \"a\"", OK],
  ["two rules in a line", "root ::= \"a\" x ::= \"b\"", OK], ["a rule without a head", "root ::= \"a\"\n\"b\"", /expected a rule/],
];

test.each(HOSTILE)("%s", (_, grammar, expected) => {
  expect(attempt({ grammar })).toMatch(expected);
});

const nested = (depth: number, wrap: (inner: unknown) => unknown): unknown => Array.from({ length: depth }).reduce(
  (inner) => wrap(inner), true as unknown,
);
const SCHEMAS: Array<[string, unknown, RegExp]> = [
  ["lists in lists", nested(90, (items) => ({ type: "array", items })), /ok|nested/],
  ["10,000 lists", nested(10_000, (items) => ({ items })), /nested|JSON/],
  ["objects in objects", nested(40, (inner) => ({ type: "object", properties: { a: inner, b: inner } })), /characters|JSON/],
  ["optional properties", { properties: Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`p${i}`, true])) }, OK],
  ["a loop of references", { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } } }, /no text/],
  ["a tree", { $ref: "#/$defs/t", $defs: { t: { type: "array", items: { $ref: "#/$defs/t" } } } }, OK],
  [
    "branches that look alike",
    { $ref: "#/$defs/t", $defs: { t: { anyOf: Array.from({ length: 30 }, () => ({ type: "array", items: { $ref: "#/$defs/t" } })) } } },
    /too many ways/,
  ], ["ten thousand values", { enum: Array.from({ length: 10_000 }, (_, i) => `v${i}`) }, /ok|too many/],
  ["a huge string", { type: "string", minLength: 190_000 }, /ok|elements/],
  ["a huge list", { type: "array", items: true, minItems: 100_000 }, /ok|elements/],
  ["strings in strings", { const: "x".repeat(200_000) }, /ok|elements/], ["a number", 5, /expected/], ["text", "x", /expected/],
];

test.each(SCHEMAS)("schema: %s", (_, jsonSchema, expected) => {
  expect(attempt({ jsonSchema })).toMatch(expected);
});

test("two hundred random grammars", () => {
  const random = seededRandom(11);
  const parts = [
    "root", "a", "b", " ::= ", "\n", "\"a\"", "\"ab\"", "[a-c]", "[^a]", ".", "(", ")", "|", "*", "+", "?", "{2}", "{0,3}", "{,}", "{3,}",
    " ", "\"", "\\", "é",
  ];
  const outcomes = Array.from({ length: 200 }, () => attempt({
    grammar: `root ::= a b\na ::= "x" ${times(Math.floor(random() * 12), () =>
      parts[Math.floor(random() * parts.length)]!)}\nb ::= "y" ${times(
        Math.floor(random() * 12), () => parts[Math.floor(random() * parts.length)]!,
      )}`,
  }));
  expect(outcomes.filter((each) => each === "ok").length).toBeGreaterThan(5);
  expect(outcomes.filter((each) => each !== "ok").length).toBeGreaterThan(50);
});
