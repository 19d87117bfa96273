import type { NativePieces } from "../native/index.js";
import type { Automaton, State } from "./automaton.js";

/** Masks that are remembered per automaton; one takes 32 KB for 262,144 tokens. */
const MAX_MASKS = 512;
const WORD = 32;

/** The tokens of a model by their bytes, and which of them a state of an automaton allows. */
export class Vocabulary {
  /** How many bytes a token shares with the one before it. */
  private readonly shared: Int32Array;

  constructor(private readonly nVocab: number, private readonly pieces: NativePieces) {
    const { bytes, offsets, tokens } = pieces;
    this.shared = new Int32Array(tokens.length);
    for (let i = 1; i < tokens.length; i++) {
      const most = Math.min(offsets[i]! - offsets[i - 1]!, offsets[i + 1]! - offsets[i]!);
      let n = 0;
      while (n < most && bytes[offsets[i - 1]! + n] === bytes[offsets[i]! + n]) n++;
      this.shared[i] = n;
    }
  }

  /** One bit per token; null if none is allowed. Throws E_BAD_GRAMMAR. */
  mask(automaton: Automaton, state: State): Int32Array | null {
    const { bytes, offsets, tokens, ends } = this.pieces;
    const mask = new Int32Array(Math.ceil(this.nVocab / WORD));
    let isAny = false;
    const allow = (token: number): void => {
      mask[Math.floor(token / WORD)]! |= 1 << token % WORD;
      isAny = true;
    };
    if (state.accepts) ends.forEach(allow);
    const path: Array<State | null> = [state]; // the states after the bytes of the token at hand
    for (let i = 0; i < tokens.length; i++) {
      const begin = offsets[i]!;
      const length = offsets[i + 1]! - begin;
      let depth = Math.min(this.shared[i]!, path.length - 1);
      path.length = depth + 1;
      if (path[depth] === null) continue; // it begins with bytes that are not allowed
      for (; depth < length; depth++) {
        const next = automaton.after(path[depth]!, bytes[begin + depth]!);
        path.push(next);
        if (next === null) break;
      }
      if (depth === length) allow(tokens[i]!);
    }
    return isAny ? mask : null;
  }
}

/** The masks of an automaton's states, computed once. */
export class Masks {
  private masks = new Map<State, Int32Array | null>();

  constructor(private readonly vocabulary: Vocabulary, private readonly automaton: Automaton) {}

  of(state: State): Int32Array | null {
    const known = this.masks.get(state);
    if (known !== undefined) return known;
    if (this.masks.size >= MAX_MASKS) this.masks = new Map();
    const mask = this.vocabulary.mask(this.automaton, state);
    this.masks.set(state, mask);
    return mask;
  }
}
