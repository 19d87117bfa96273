import { shown } from "../errors.js";
import { grammarError, MAX_ELEMENTS } from "./limits.js";

type Schema = boolean | Record<string, unknown>;

/** Characters of a schema as JSON. */
const MAX_CHARACTERS = 2 ** 18;
/** The writer recurses once per level. */
const MAX_DEPTH = 100;
/** Keywords that say nothing about which texts are valid. */
const ANNOTATIONS = new Set([
  "$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "title", "description", "default", "examples", "deprecated", "readOnly",
  "writeOnly", "format",
]);
const BY_TYPE: Record<string, readonly string[]> = {
  object: ["properties", "required", "additionalProperties", "propertyNames"],
  array: ["items", "prefixItems", "minItems", "maxItems"],
  string: ["minLength", "maxLength"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  number: ["minimum", "exclusiveMinimum"],
  boolean: [], null: [],
};
/** Bounds beyond all integers that JavaScript counts with say nothing. */
const isBeyond = (bound: unknown): boolean => typeof bound === "number" && Math.abs(bound) >= Number.MAX_SAFE_INTEGER;

/** Rules of JSON's values. White space is limited, since models fall into loops of it. */
const COMMON = String.raw`
ws ::= (" " | "\n" " "{0,16})?
string ::= "\"" character* "\""
character ::= [^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
natural ::= "0" | [1-9] [0-9]{0,14}
positive-integer ::= [1-9] [0-9]{0,14}
integer ::= "-"? natural
natural-number ::= ("0" | [1-9] [0-9]{0,20}) ("." [0-9]{1,20})? ([eE] [-+]? [0-9] [0-9]?)?
number ::= "-"? natural-number
boolean ::= "true" | "false"
null ::= "null"
value ::= object | array | string | number | boolean | null
member ::= string ws ":" ws value
object ::= "{" ws (member (ws "," ws member)* ws)? "}"
array ::= "[" ws (value (ws "," ws value)* ws)? "]"
`;

/**
 * Writes a JSON schema as a grammar (GBNF) for the texts that are valid. Objects have their properties in the order of the schema, and no
 * others unless `additionalProperties` says so.
 *
 * @throws SteeringError E_BAD_GRAMMAR for what is not a schema, and for keywords that a grammar cannot express
 */
export function schemaToGbnf(given: unknown): string {
  checkSize(given);
  return new Writer(JSON.parse(JSON.stringify(given)) as Schema).write();
}

/** Walks through a schema before anything else does: an object that contains another twice, many times over, is endless as JSON. */
function checkSize(schema: unknown): void {
  let left = MAX_CHARACTERS;
  const walk = (value: unknown, depth: number): void => {
    if (depth > MAX_DEPTH) throw grammarError(`the schema is nested more than ${MAX_DEPTH} levels deep`);
    left -= typeof value === "string" ? value.length + 2 : 1;
    if (left < 0) throw grammarError(`the schema takes more than ${MAX_CHARACTERS} characters`);
    const isPlain = value === null || ["string", "boolean"].includes(typeof value) || Number.isFinite(value);
    if (!isPlain && typeof value !== "object") throw grammarError(`the schema is not JSON: it contains ${shown(value)}`);
    if (isPlain) return;
    for (const [key, each] of Object.entries(value as object)) {
      left -= key.length;
      walk(each, depth + 1);
    }
  };
  walk(schema, 0);
}

class Writer {
  private readonly rules: string[] = [];
  /** Names of the rules of schemas that are referred to, by their pointers. */
  private readonly references = new Map<string, string>();
  private readonly pending: Array<{ pointer: string; name: string }> = [];

  constructor(private readonly schema: Schema) {}

  write(): string {
    this.rules.push(`root ::= ${this.reference("#", "#")}`);
    for (let next = this.pending.pop(); next; next = this.pending.pop()) {
      this.rules.push(`${next.name} ::= ${this.ofSchema(this.resolve(next.pointer), next.pointer)}`);
    }
    return `${this.rules.join("\n")}\n${COMMON}`;
  }

  /** The body of a rule for a schema; `place` is a pointer to it, for messages. */
  private ofSchema(schema: Schema, place: string): string {
    if (schema === true) return "value";
    if (schema === false) throw problem(place, "false allows nothing");
    if (!isObject(schema)) throw problem(place, "expected an object, true or false");
    const { $ref, const: constant, enum: values, anyOf, oneOf, allOf, type } = schema;
    if ($ref !== undefined) return only(schema, ["$ref"], place, () => this.reference($ref, place));
    if (constant !== undefined) return only(schema, ["const", "type"], place, () => literal(JSON.stringify(constant)));
    if (values !== undefined) {
      const texts = listOf(values, place, "enum").map((each) => literal(JSON.stringify(each)));
      return only(schema, ["enum", "type"], place, () => either(texts));
    }
    for (const [keyword, schemas] of Object.entries({ anyOf, oneOf })) {
      if (schemas === undefined) continue;
      const bodies = listOf(schemas, place, keyword).map((each, at) => this.ofSchema(each as Schema, `${place}/${keyword}/${at}`));
      return only(schema, [keyword], place, () => either(bodies));
    }
    if (allOf !== undefined) {
      const [first, ...others] = listOf(allOf, place, "allOf");
      if (others.length > 0) throw problem(place, "allOf with more than one schema is not supported");
      return only(schema, ["allOf"], place, () => this.ofSchema(first as Schema, `${place}/allOf/0`));
    }
    const types = type === undefined ? guessedTypes(schema) : Array.isArray(type) ? type as unknown[] : [type];
    if (types.length === 0) return only(schema, [], place, () => "value");
    const stranger = types.find((each) => typeof each !== "string" || !Object.hasOwn(BY_TYPE, each));
    if (stranger !== undefined) throw problem(place, `unknown type ${JSON.stringify(stranger)}`);
    const keywords = types.flatMap((each) => BY_TYPE[each as string]!);
    return only(schema, ["type", ...keywords], place, () => either(types.map((each) => this.ofType(each as string, schema, place))));
  }

  private ofType(type: string, schema: Record<string, unknown>, place: string): string {
    switch (type) {
      case "object": return this.ofObject(schema, place);
      case "array": return this.ofArray(schema, place);
      case "string": return `"\\"" character${counts(schema, "minLength", "maxLength", place)} "\\""`;
      case "integer": return numbers(schema, place, "integer", "natural", "positive-integer");
      case "number": return numbers(schema, place, "number", "natural-number");
      default: return type;
    }
  }

  private ofObject(schema: Record<string, unknown>, place: string): string {
    const { properties = {}, required = [], additionalProperties } = schema;
    if (!isObject(properties)) throw problem(place, "properties: expected an object");
    const { propertyNames = { type: "string" } } = schema; // the default, and what zod writes
    if (JSON.stringify(propertyNames) !== "{\"type\":\"string\"}") throw problem(place, "propertyNames are not supported");
    const names = Object.keys(properties);
    const missing = listOf(required, place, "required", 0).find((name) => typeof name !== "string" || !names.includes(name));
    if (missing !== undefined) throw problem(place, `required names ${JSON.stringify(missing)}, which is not among the properties`);
    const isOpen = additionalProperties !== undefined && additionalProperties !== false;
    if (names.length === 0 && (additionalProperties === undefined || additionalProperties === true)) return "object";
    const other = isOpen ? `string ws ":" ws ${this.named(additionalProperties as Schema, `${place}/additionalProperties`)}` : undefined;
    // From the last property to the first: what can be written from there on, and whether nothing has to be.
    let next = other === undefined ? undefined : this.rule(`${other} (ws "," ws ${other})*`);
    let isOptional = true;
    for (const name of names.reverse()) {
      const isRequired = (required as unknown[]).includes(name);
      const value = this.named(properties[name] as Schema, `${place}/properties/${name}`);
      const rest = next === undefined ? "" : `(ws "," ws ${next})${isOptional ? "?" : ""}`;
      const skipped = next === undefined || isRequired ? "" : `| ${next}`;
      next = this.rule(`${literal(JSON.stringify(name))} ws ":" ws ${value} ${rest} ${skipped}`);
      isOptional &&= !isRequired;
    }
    return next === undefined ? "\"{\" ws \"}\"" : `"{" ws (${next} ws)${isOptional ? "?" : ""} "}"`;
  }

  private ofArray(schema: Record<string, unknown>, place: string): string {
    const { items, prefixItems = [] } = schema;
    const prefix = listOf(prefixItems, place, "prefixItems", 0).map((each, at) => this.named(each as Schema, `${place}/prefixItems/${at}`));
    if (prefix.length > 0) {
      const isClosed = items === undefined || items === false;
      const [least, most] = bounds(schema, "minItems", "maxItems", place).map((bound) => bound - prefix.length) as [number, number];
      if (most < 0 || (isClosed && least > 0)) throw problem(place, "prefixItems has another number of items than minItems and maxItems");
      const other = isClosed ? "" : `(ws "," ws ${this.named(items as Schema, `${place}/items`)})`;
      const others = isClosed ? "" : `${other}{${Math.max(0, least)},${orNothing(most)}}`;
      return `"[" ws ${prefix.join(" ws \",\" ws ")} ${others} ws "]"`;
    }
    if (items === undefined && isFree(schema, "minItems", "maxItems")) return "array";
    const item = items === undefined ? "value" : this.named(items as Schema, `${place}/items`);
    const [least, most] = bounds(schema, "minItems", "maxItems", place);
    if (most === 0) return "\"[\" ws \"]\"";
    const more = `{${Math.max(0, least - 1)},${orNothing(most - 1)}}`;
    const all = `${item} (ws "," ws ${item})${more} ws`;
    return `"[" ws ${least === 0 ? `(${all})?` : all} "]"`;
  }

  /** The name of a new rule with this body. */
  private rule(body: string): string {
    const name = `r${this.rules.length}`;
    this.rules.push(`${name} ::= ${body}`);
    return name;
  }

  private named(schema: Schema, place: string): string {
    return this.rule(this.ofSchema(schema, place));
  }

  /** The rule of a schema that is referred to, which is written later. */
  private reference(pointer: unknown, place: string): string {
    if (typeof pointer !== "string" || !/^#(\/|$)/.test(pointer)) {
      throw problem(place, `$ref: expected a pointer such as #/$defs/name, not ${JSON.stringify(pointer)}`);
    }
    let name = this.references.get(pointer);
    if (name === undefined) {
      name = `ref${this.references.size}`;
      this.references.set(pointer, name);
      this.pending.push({ pointer, name });
    }
    return name;
  }

  private resolve(pointer: string): Schema {
    let found: unknown = this.schema;
    for (const part of pointer.split("/").slice(1)) {
      const key = decodeURIComponentOr(part).replaceAll("~1", "/").replaceAll("~0", "~");
      if (!(isObject(found) || Array.isArray(found)) || !Object.hasOwn(found, key)) throw problem(pointer, "there is no such schema");
      found = (found as Record<string, unknown>)[key];
    }
    return found as Schema;
  }
}

/** Runs `write` if the schema has no keywords but these and annotations. */
function only(schema: Record<string, unknown>, keywords: readonly string[], place: string, write: () => string): string {
  const unknown = Object.keys(schema).find((key) => !keywords.includes(key) && !ANNOTATIONS.has(key));
  if (unknown !== undefined) throw problem(place, `the keyword ${unknown} is not supported here`);
  return write();
}

/** The types whose keywords a schema without a type has. */
function guessedTypes(schema: Record<string, unknown>): string[] {
  return ["object", "array", "string"].filter((type) => BY_TYPE[type]!.some((keyword) => schema[keyword] !== undefined));
}

/** The rule of a number: `any` without bounds, otherwise one of the others: a grammar can only tell the sign. */
function numbers(schema: Record<string, unknown>, place: string, any: string, natural: string, positive?: string): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  const bound = [maximum, exclusiveMaximum].find((each) => each !== undefined && !isBeyond(each));
  const least = [minimum, exclusiveMinimum].filter((each) => each !== undefined && !isBeyond(each));
  if (bound === undefined && least.length === 0) return any;
  if (bound === undefined && least.length === 1 && minimum === 0) return natural;
  if (bound === undefined && least.length === 1 && positive && (minimum === 1 || exclusiveMinimum === 0)) return positive;
  const supported = positive ? "minimum 0, minimum 1 and exclusiveMinimum 0 are" : "minimum 0 is";
  throw problem(place, `of bounds, only ${supported} supported; use enum for a small range`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isFree(schema: Record<string, unknown>, ...keywords: string[]): boolean {
  return keywords.every((keyword) => schema[keyword] === undefined);
}

function bounds(schema: Record<string, unknown>, least: string, most: string, place: string): [number, number] {
  const [from, to] = [schema[least] ?? 0, schema[most] ?? Infinity];
  for (const each of [from, to]) {
    const isCount = each === Infinity || (Number.isSafeInteger(each) && (each as number) >= 0);
    if (!isCount) throw problem(place, `${least} and ${most}: expected whole numbers`);
    if (each !== Infinity && (each as number) > MAX_ELEMENTS) throw problem(place, `${least} and ${most}: ${each as number} is too large`);
  }
  if ((from as number) > (to as number)) throw problem(place, `${least} is above ${most}`);
  return [from as number, to as number];
}

function counts(schema: Record<string, unknown>, least: string, most: string, place: string): string {
  const [from, to] = bounds(schema, least, most, place);
  return `{${from},${orNothing(to)}}`;
}

/** The upper count of a repetition. */
function orNothing(count: number): string {
  return count === Infinity ? "" : String(count);
}

function listOf(value: unknown, place: string, keyword: string, least = 1): unknown[] {
  if (Array.isArray(value) && value.length >= least) return value;
  throw problem(place, `${keyword}: expected a list${least > 0 ? " that is not empty" : ""}`);
}

function either(bodies: readonly string[]): string {
  return bodies.length === 1 ? bodies[0]! : `(${bodies.join(" | ")})`;
}

/** A text as a literal of GBNF; JSON.stringify has escaped lone surrogates. */
function literal(text: string): string {
  const escaped = (character: string): string => `\\U${character.codePointAt(0)!.toString(16).padStart(8, "0")}`;
  return `"${text.replace(/[\\"]/g, "\\$&").replace(/[^\x20-\x7e]/gu, escaped)}"`;
}

function decodeURIComponentOr(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function problem(place: string, what: string): Error {
  return grammarError(`the schema at ${place}: ${what}`);
}
