import { Environment, Interpreter, parse, Template, tokenize } from "@huggingface/jinja";

/** A refusal by the template itself: the message it passed to `raise_exception`, or the variable that it needs and was not given. */
export class TemplateRefusal extends Error {}

type Value = ReturnType<Interpreter["evaluate"]>;
/** A node of the parsed template. */
interface Node {
  type: string;
  [property: string]: unknown;
}

/** The library's value classes, which it does not export. */
type ValueClass = new (value: unknown) => Value;
const classOf = (sample: unknown): ValueClass => new Environment().set("sample", sample).constructor as ValueClass;
const [StringValue, IntegerValue, ArrayValue] = [classOf(""), classOf(0), classOf([])];
const [ObjectValue, FunctionValue, UndefinedValue] = [classOf({}), classOf(() => null), classOf(undefined)];

/** Filters that treat an undefined value as an empty list, as in Python's Jinja. */
const LIST_FILTERS: readonly unknown[] = [
  "selectattr", "rejectattr", "map", "list", "length", "count", "join", "sort", "unique", "reverse",
];

/**
 * Renders a chat template as transformers does: trim_blocks, lstrip_blocks, no HTML escapes. Constructs of chat templates in which the
 * library differs from Python's Jinja are rewritten in the parsed template.
 *
 * @throws TemplateRefusal if the template calls raise_exception, or needs a variable that is missing; Error if it cannot be parsed or fails
 */
export function renderTemplate(template: string, variables: Readonly<Record<string, unknown>>): string {
  const program = parsed(template);
  const environment = new Environment();
  for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) environment.set(name, value);
  for (const [name, method] of Object.entries(METHODS)) environment.setVariable(name, new FunctionValue(method));
  const missed = missedBy(environment);
  try {
    return new Interpreter(environment).run(program).toString();
  } catch (error) {
    const needed = /undefined values/.test((error as Error).message) ? operandsOf(program).find((name) => missed.has(name)) : undefined;
    if (needed === undefined) throw error;
    throw new TemplateRefusal(`it needs a value for the template variable ${JSON.stringify(needed)}`);
  }
}

/** The variables that the template will have asked for and not found. */
function missedBy(environment: Environment): ReadonlySet<string> {
  const missed = new Set<string>();
  // The library does not document this method: without it, no variable is known to be missed.
  const scope = environment as unknown as { resolve?: (name: string) => Environment };
  const resolve = scope.resolve?.bind(environment);
  if (!resolve) return missed;
  scope.resolve = (name) => {
    if (!environment.variables.has(name)) missed.add(name);
    return resolve(name);
  };
  return missed;
}

/** Operators that take undefined values. */
const LENIENT: readonly unknown[] = ["==", "!=", "and", "or"];
/** Operators that take an undefined value on their right. */
const MEMBERSHIP: readonly unknown[] = ["in", "not in"];

/** The names of the variables that the template's operators need, in the template's order. */
function operandsOf(node: unknown): string[] {
  if (node === null || typeof node !== "object") return [];
  const own = (node as Node).type === "BinaryExpression" ? neededBy(node as Node) : [];
  return [
    ...(node instanceof Map ? [...node] : Object.values(node)).flatMap(operandsOf),
    ...own.flatMap((operand) => ((operand as Node).type === "Identifier" ? [String((operand as Node)["value"])] : [])),
  ];
}

function neededBy({ operator, left, right }: Node): unknown[] {
  const { value } = operator as { value: unknown };
  return LENIENT.includes(value) ? [] : MEMBERSHIP.includes(value) ? [left] : [left, right];
}

function parsed(template: string): ReturnType<typeof parse> {
  try {
    const program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
    rewrite(program);
    return program;
  } catch (cause) {
    throw new Error(`it cannot be parsed: ${(cause as Error).message}`, { cause });
  }
}

const GLOBALS: Readonly<Record<string, unknown>> = {
  true: true, True: true, false: false, False: false, none: null, None: null,
  range: (first: number, stop?: number, step = 1): number[] =>
    (typeof stop === "number" ? range(first, stop, step) : range(0, first, step)),
  raise_exception: (reason: unknown): never => { throw new TemplateRefusal(String(reason)); },
  strftime_now: (format: string): string => new Template("{{ strftime_now(format) }}").render({ format }),
};

/** Functions that rewritten expressions call. Templates cannot name them, since identifiers contain no dots. */
const METHODS: Readonly<Record<string, (args: Value[]) => Value>> = {
  "str.strip": ([text, characters]) => new StringValue(strip(text!, characters!, "both")),
  "str.lstrip": ([text, characters]) => new StringValue(strip(text!, characters!, "left")),
  "str.rstrip": ([text, characters]) => new StringValue(strip(text!, characters!, "right")),
  "str.format": ([text, ...values]) => new StringValue(formatted(text!, values)),
  "dict.sort": ([dictionary]) => sortedEntries(dictionary!),
  "any.at": ([list, index]) =>
    (list instanceof ObjectValue ? entriesOf(list).get(String(index!.value)) : at(list!, index!.value as number))
      ?? new UndefinedValue(undefined),
};

/** Rewrites a node and everything below it, in place. */
function rewrite(node: unknown): void {
  if (node === null || typeof node !== "object") return;
  if (node instanceof Map) return [...node].forEach(rewrite);
  Object.values(node).forEach(rewrite);
  if ("type" in node) rewriteOne(node as Node);
}

function rewriteOne(node: Node): void {
  const callee = node["callee"] as Node | undefined;
  switch (node.type) {
    case "CallExpression": {
      if (callee?.type !== "MemberExpression" || callee["computed"]) break;
      const [method, args] = [`str.${String((callee["property"] as Node)["value"])}`, node["args"] as Node[]];
      if (args.length > 0 && method in METHODS) Object.assign(node, callOf(method, callee["object"], ...args));
      break;
    }
    case "For": {
      const iterable = node["iterable"] as Node;
      if (iterable.type === "SelectExpression") iterable["lhs"] = orEmptyList(iterable["lhs"]);
      else node["iterable"] = orEmptyList(iterable);
      break;
    }
    case "FilterExpression": {
      const filter = node["filter"] as Node;
      const name = filter["value"] ?? (filter["callee"] as Node)["value"];
      if (filter["value"] === "dictsort") Object.assign(node, callOf("dict.sort", node["operand"]));
      else if (LIST_FILTERS.includes(name)) node["operand"] = orEmptyList(node["operand"]);
      break;
    }
    case "ObjectLiteral":
      for (const key of (node["value"] as Map<Node, Node>).keys()) {
        if (key.type === "IntegerLiteral") Object.assign(key, { type: "StringLiteral", value: String(key["value"]) });
      }
      break;
    case "MemberExpression":
      if (!node["computed"] || (node["property"] as Node).type !== "IntegerLiteral") break;
      Object.assign(node, callOf("any.at", node["object"], node["property"]));
      break;
  }
}

function callOf(name: string, ...args: unknown[]): Node {
  return { type: "CallExpression", callee: { type: "Identifier", value: name }, args };
}

function orEmptyList(left: unknown): Node {
  return { type: "BinaryExpression", operator: { value: "or" }, left, right: { type: "ArrayLiteral", value: [] } };
}

/** Python's str.strip(characters). */
function strip({ value: text }: Value, { value: characters }: Value, side: "both" | "left" | "right"): string {
  if (typeof text !== "string") throw new Error("strip() is a method of strings");
  if (typeof characters !== "string") return side === "left" ? text.trimStart() : side === "right" ? text.trimEnd() : text.trim();
  const letters = Array.from(text);
  let [from, to] = [0, letters.length];
  if (side !== "right") while (from < to && characters.includes(letters[from]!)) from++;
  if (side !== "left") while (to > from && characters.includes(letters[to - 1]!)) to--;
  return letters.slice(from, to).join("");
}

/** Python's str.format, with `{}` and `{0}` only. */
function formatted({ value: text }: Value, values: readonly Value[]): string {
  if (typeof text !== "string") throw new Error("format() is a method of strings");
  let next = 0;
  return text.replace(/\{\{|\}\}|\{(\d*)\}/g, (found, index?: string) => {
    if (index === undefined) return found[0]!;
    const value = values[index === "" ? next++ : Number(index)];
    if (value === undefined) throw new Error("format() has fewer values than placeholders");
    return value instanceof UndefinedValue ? "" : value.toString();
  });
}

/** Pairs sorted by key; keys that were integers become integers again. */
function sortedEntries(dictionary: Value): Value {
  if (!(dictionary instanceof ObjectValue)) throw new Error("dictsort sorts dictionaries");
  const entries = [...entriesOf(dictionary)];
  const isNumbered = entries.every(([key]) => /^-?\d+$/.test(key));
  const keys = isNumbered ? entries.map(([key]) => Number(key)) : entries.map(([key]) => key.toLowerCase());
  const order = entries.map((_, index) => index).sort((a, b) => (keys[a]! < keys[b]! ? -1 : keys[a]! > keys[b]! ? 1 : 0));
  const keyOf = (index: number): Value => (isNumbered ? new IntegerValue(keys[index]) : new StringValue(entries[index]![0]));
  return new ArrayValue(order.map((index) => new ArrayValue([keyOf(index), entries[index]![1]])));
}

function entriesOf(dictionary: Value): Map<string, Value> {
  return dictionary.value as unknown as Map<string, Value>;
}

function at({ value }: Value, index: number): Value | undefined {
  const found: unknown = Array.isArray(value) || typeof value === "string" ? value.at(index) : undefined;
  return typeof found === "string" ? new StringValue(found) : found as Value | undefined;
}

function range(start: number, stop: number, step: number): number[] {
  if (step === 0) throw new Error("range() needs a step other than 0");
  return Array.from({ length: Math.max(0, Math.ceil((stop - start) / step)) }, (_, index) => start + index * step);
}
