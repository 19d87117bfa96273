import { grammarError, MAX_ELEMENTS } from "./limits.js";
import { encode, utf8Ranges } from "./utf8.js";

/** A reference to a rule, or a range of bytes. */
export type Element = { rule: number } | { low: number; high: number };

/** Rules of a grammar over bytes, by number; each is a list of alternatives. */
export class RuleSet {
  /** Undefined: referred to, but not yet defined. */
  readonly rules: Array<Element[][] | undefined> = [];
  private readonly names = new Map<string, number>();
  private readonly classes = new Map<string, Element>();
  private nElements = 0;

  /** False if the name is already defined. */
  define(name: string, alternatives: Element[][]): boolean {
    const { rule } = this.reference(name) as { rule: number };
    if (this.rules[rule]) return false;
    this.set(rule, alternatives);
    return true;
  }

  reference(name: string): Element {
    let rule = this.names.get(name);
    if (rule === undefined) this.names.set(name, rule = this.rules.push(undefined) - 1);
    return { rule };
  }

  anonymous(alternatives: Element[][]): Element {
    const rule = this.rules.push(undefined) - 1;
    this.set(rule, alternatives);
    return { rule };
  }

  literal(points: readonly number[]): Element[] {
    return points.flatMap((point) => encode(point).map((byte) => ({ low: byte, high: byte })));
  }

  /** One character of the ranges, given in pairs. */
  characters(ranges: readonly number[]): Element {
    const key = ranges.join();
    let known = this.classes.get(key);
    if (!known) {
      const sequences = Array.from({ length: ranges.length / 2 }, (_, i) => utf8Ranges(ranges[2 * i]!, ranges[2 * i + 1]!)).flat();
      known = sequences.length === 1 && sequences[0]!.length === 1 ? sequences[0]![0]! : this.anonymous(sequences);
      this.classes.set(key, known);
    }
    return known;
  }

  canRepeat([least, most]: readonly [number, number]): boolean {
    return least <= most && (most === Infinity ? least : most) <= MAX_ELEMENTS;
  }

  /** `item`, repeated from `least` to `most` times. The copies refer to one rule, so nested repetitions do not multiply. */
  repeated(item: Element[], [least, most]: readonly [number, number]): Element {
    const one = item.length === 1 ? item[0]! : this.anonymous([item]);
    let rest: Element[] = [];
    if (most === Infinity) {
      const rule = this.rules.push(undefined) - 1;
      this.set(rule, [[one, { rule }], []]);
      rest = [{ rule }];
    } else for (let n = least; n < most; n++) rest = [this.anonymous([[one, ...rest], []])];
    return this.anonymous([[...new Array<Element>(least).fill(one), ...rest]]);
  }

  /** The number of `root`. Throws E_BAD_GRAMMAR if a rule is missing, or refers to itself before it matches anything. */
  root(): number {
    for (const [name, rule] of this.names) if (!this.rules[rule]) throw grammarError(`the rule ${name} is not defined`);
    const root = this.names.get("root");
    if (root === undefined) throw grammarError("it has no rule root; expected root ::= …");
    const recursive = leftRecursive(this.rules as Element[][][]);
    if (recursive === undefined) return root;
    const name = [...this.names].find(([, rule]) => rule === recursive)?.[0];
    throw grammarError(`${name === undefined ? "a group" : `the rule ${name}`} refers to itself before it matches anything `
      + "(left recursion); write it with a repetition: list ::= item (\",\" item)*");
  }

  private set(rule: number, alternatives: Element[][]): void {
    this.nElements += alternatives.reduce((sum, elements) => sum + elements.length + 1, 1);
    if (this.nElements > MAX_ELEMENTS) throw grammarError(`it has more than ${MAX_ELEMENTS} elements, with its repetitions written out`);
    this.rules[rule] = alternatives;
  }
}

/** Rules that match the empty text; takes time in proportion to the size of the grammar. */
function nullable(rules: readonly Element[][][]): Uint8Array {
  const empty = new Uint8Array(rules.length);
  const queue: number[] = [];
  /** The alternatives that a rule occurs in, once per occurrence, each with its elements that are not known to be empty. */
  const uses: Array<Array<{ rule: number; left: number }>> = rules.map(() => []);
  const found = (rule: number): void => {
    if (!empty[rule]) queue.push(rule);
    empty[rule] = 1;
  };
  for (const [rule, alternatives] of rules.entries()) {
    for (const elements of alternatives) {
      const use = { rule, left: elements.length };
      if (use.left === 0) found(rule);
      for (const element of elements) if ("rule" in element) uses[element.rule]!.push(use);
    }
  }
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    for (const use of uses[next]!) if (--use.left === 0) found(use.rule);
  }
  return empty;
}

/**
 * A rule that can come back to itself without a byte while something is left to do after it, so that its stack would grow forever.
 * References at the end of a rule leave nothing to do.
 */
function leftRecursive(rules: readonly Element[][][]): number | undefined {
  const empty = nullable(rules);
  const edges = rules.map((alternatives) => alternatives.flatMap((elements) => {
    const end = elements.findIndex((each) => !("rule" in each && empty[each.rule]));
    const first = elements.slice(0, end < 0 ? elements.length : end + 1);
    return first.flatMap((each, at) => ("rule" in each ? [{ to: each.rule, grows: at < elements.length - 1 }] : []));
  }));
  const component = components(edges.map((each) => each.map(({ to }) => to)));
  const found = edges.findIndex((each, from) => each.some(({ to, grows }) => grows && component[from] === component[to]));
  return found < 0 ? undefined : found;
}

/** Strongly connected components (Kosaraju's algorithm, without recursion). */
function components(edges: readonly number[][]): Int32Array {
  const back: number[][] = edges.map(() => []);
  for (const [from, targets] of edges.entries()) for (const to of targets) back[to]!.push(from);
  const order: number[] = [];
  const seen = new Uint8Array(edges.length);
  for (const start of edges.keys()) {
    const path = seen[start] ? [] : [{ node: start, next: 0 }];
    seen[start] = 1;
    while (path.length > 0) {
      const top = path.at(-1)!;
      const to = edges[top.node]![top.next++];
      if (to === undefined) order.push(path.pop()!.node);
      else if (!seen[to]) {
        seen[to] = 1;
        path.push({ node: to, next: 0 });
      }
    }
  }
  const component = new Int32Array(edges.length).fill(-1);
  for (const root of order.reverse()) {
    const queue = component[root]! < 0 ? [root] : [];
    for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
      component[node] = root;
      for (const each of back[node]!) if (component[each]! < 0) queue.push(each);
    }
  }
  return component;
}
