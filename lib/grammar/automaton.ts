import { grammarError } from "./limits.js";
import type { RuleSet } from "./rules.js";

/** Ways to go on that a state may hold at once: a list of 1000 names has 1000. */
const MAX_STACKS = 4096;
/** Moves per token, less than a second; a JSON schema takes a few thousand for its first token, and hardly any later. */
const MAX_MOVES = 500_000;
/** Stacks that are remembered: each level of a nested text needs a few. */
const MAX_KNOWN_STACKS = 2 ** 18;
/** States that are remembered, at 2 KB each and 16 bytes per stack. */
const MAX_KNOWN_STATES = 4096;
const MAX_STACKS_OF_STATES = 2 ** 20;
const BYTES = 256;

/** What may follow the bytes so far. States are compared by identity only. */
export interface State {
  /** Numbers of stacks, ascending; each waits for a byte. */
  stacks: number[];
  /** True if the text may end here. */
  accepts: boolean;
  /** By byte; null: the byte is not allowed; undefined: not yet computed. */
  next: Array<State | null | undefined>;
}

/**
 * A grammar as a machine that reads bytes. Its states are computed when they are needed, and remembered. It never recurses, and every
 * step of it is bounded: whatever the grammar, a call takes milliseconds, or throws E_BAD_GRAMMAR.
 *
 * A stack is a place in a rule, and the stack to return to at the end of that rule; equal stacks are one. Places are indices into the
 * elements of all alternatives, one after the other, each alternative with an end.
 */
export class Automaton {
  readonly start: State;
  // Elements by place: a range of bytes, or a rule (low −1, high its number), or an end (low −2).
  private readonly low: Int16Array;
  private readonly high: Int32Array;
  /** Places at which the alternatives of each rule begin. */
  private readonly alternatives: number[][] = [];
  // Stacks by number: their place and the stack below; −1: nothing is below.
  private readonly place: number[] = [];
  private readonly below: number[] = [];
  private readonly known = new Map<number, number>();
  private readonly states = new Map<string, State>();
  private stacksOfStates = 0;
  private moves = 0;

  /** Throws E_BAD_GRAMMAR. */
  constructor(rules: RuleSet) {
    const root = rules.root();
    const [low, high]: [number[], number[]] = [[], []];
    for (const alternatives of rules.rules) {
      this.alternatives.push(alternatives!.map((elements) => {
        const begin = low.length;
        for (const element of elements) {
          low.push("rule" in element ? RULE : element.low);
          high.push("rule" in element ? element.rule : element.high);
        }
        low.push(END);
        high.push(0);
        return begin;
      }));
    }
    this.low = Int16Array.from(low);
    this.high = Int32Array.from(high);
    const found = new Closure();
    for (const place of this.alternatives[root]!) this.close(place, NOTHING, found);
    this.start = this.state(found) ?? fail();
  }

  /** True if so much is remembered that a new automaton should take over for new texts. */
  get isFull(): boolean {
    return this.place.length > MAX_KNOWN_STACKS / 4;
  }

  /** Call it before each token: the moves are counted anew. */
  beginToken(): void {
    this.moves = 0;
  }

  /** The state after a byte; null if the byte is not allowed. Throws E_BAD_GRAMMAR if the grammar is too ambiguous. */
  after(state: State, byte: number): State | null {
    const known = state.next[byte];
    if (known !== undefined) return known;
    const found = new Closure();
    this.moves += state.stacks.length >> 4;
    for (const stack of state.stacks) {
      const place = this.place[stack]!;
      if (byte >= this.low[place]! && byte <= this.high[place]!) this.close(place + 1, this.below[stack]!, found);
    }
    return state.next[byte] = this.state(found);
  }

  /** Adds all stacks that are reached from a place without reading a byte. */
  private close(place: number, below: number, found: Closure): void {
    const queue = [place, below];
    while (queue.length > 0) {
      const [under, at] = [queue.pop()!, queue.pop()!];
      if (!found.visit(at, under)) continue;
      if (++this.moves > MAX_MOVES) throw tooAmbiguous();
      const low = this.low[at]!;
      if (low >= 0) found.stacks.push(this.stack(at, under));
      else if (low === RULE) {
        const back = this.low[at + 1] === END ? under : this.stack(at + 1, under); // nothing to come back for
        for (const begin of this.alternatives[this.high[at]!]!) queue.push(begin, back);
      } else if (under === NOTHING) found.accepts = true;
      else queue.push(this.place[under]!, this.below[under]!);
    }
  }

  private stack(place: number, below: number): number {
    const key = place * (MAX_KNOWN_STACKS + 1) + below + 1;
    let number = this.known.get(key);
    if (number === undefined) {
      number = this.place.length;
      if (number >= MAX_KNOWN_STACKS) throw grammarError("the text is nested too deeply for it");
      this.known.set(key, number);
      this.place.push(place);
      this.below.push(below);
    }
    return number;
  }

  private state({ stacks, accepts }: Closure): State | null {
    if (stacks.length === 0 && !accepts) return null;
    if (stacks.length > MAX_STACKS) throw tooAmbiguous();
    stacks.sort((a, b) => a - b);
    const key = `${accepts ? "." : ""}${stacks.join()}`;
    const known = this.states.get(key);
    if (known) return known;
    if (this.states.size >= MAX_KNOWN_STATES || this.stacksOfStates > MAX_STACKS_OF_STATES) this.forget();
    this.stacksOfStates += stacks.length;
    const state: State = { stacks, accepts, next: new Array<undefined>(BYTES).fill(undefined) };
    this.states.set(key, state);
    return state;
  }

  /** Forgets all states but those in use, which have to find their next states again. */
  private forget(): void {
    for (const state of this.states.values()) state.next.fill(undefined);
    this.states.clear();
    this.stacksOfStates = 0;
  }
}

const RULE = -1;
const END = -2;
const NOTHING = -1;

/** What is reached without reading a byte. */
class Closure {
  readonly stacks: number[] = [];
  accepts = false;
  private readonly visited = new Set<number>();

  /** False if the place was visited with this stack below it. */
  visit(place: number, below: number): boolean {
    const key = place * (MAX_KNOWN_STACKS + 1) + below + 1;
    if (this.visited.has(key)) return false;
    this.visited.add(key);
    return true;
  }
}

function tooAmbiguous(): Error {
  return grammarError("it leaves too many ways to read the text at once; make its alternatives begin differently");
}

function fail(): never {
  throw grammarError("no text matches it");
}
