import { Automaton, type State } from "./automaton.js";
import { parseGbnf } from "./gbnf.js";
import { schemaToGbnf } from "./json-schema.js";
import { grammarError } from "./limits.js";
import { Masks, type Vocabulary } from "./vocabulary.js";

/** What the text of a generation must be. */
export interface TextGrammar {
  /** In llama.cpp's notation (GBNF). */
  grammar?: string | undefined;
  /** A JSON schema. */
  jsonSchema?: unknown;
}

/** Characters of the grammar that a schema becomes: its own, and some per property. */
const MAX_OF_SCHEMA = 2 ** 21;
/** Grammars whose states and masks are remembered, per vocabulary. */
const MAX_KNOWN = 8;

/** Makes constraints on texts in a model's vocabulary; those of one grammar share what they have computed. */
export class Constraints {
  private readonly known = new Map<string, { automaton: Automaton; masks: Masks }>();

  constructor(private readonly vocabulary: Vocabulary) {}

  /** Throws E_BAD_GRAMMAR. */
  create({ grammar, jsonSchema }: TextGrammar): Constraint {
    if (grammar !== undefined && jsonSchema !== undefined) throw grammarError("there is a JSON schema, too; expected one of them");
    const text = grammar ?? schemaToGbnf(jsonSchema);
    let found = this.known.get(text);
    this.known.delete(text);
    if (!found || found.automaton.isFull) {
      const automaton = new Automaton(parseGbnf(text, grammar === undefined ? MAX_OF_SCHEMA : undefined));
      found = { automaton, masks: new Masks(this.vocabulary, automaton) };
    }
    this.known.set(text, found);
    if (this.known.size > MAX_KNOWN) this.known.delete(this.known.keys().next().value!);
    return new Constraint(found.automaton, found.masks);
  }
}

/** How far the text of one generation has come in its grammar. */
export class Constraint {
  private state: State;

  constructor(private readonly automaton: Automaton, private readonly masks: Masks) {
    this.state = automaton.start;
  }

  /** The tokens that may come next, one bit each. Throws E_BAD_GRAMMAR if there are none, or finding them takes too long. */
  allowed(): Int32Array {
    this.automaton.beginToken();
    const mask = this.masks.of(this.state);
    if (!mask) throw grammarError("no token of the model continues the text");
    return mask;
  }

  /** Goes on by the bytes of an allowed token that is not an end. */
  accept(bytes: Uint8Array): void {
    this.automaton.beginToken();
    for (const byte of bytes) {
      const next = this.automaton.after(this.state, byte);
      if (!next) throw grammarError("the text has left it");
      this.state = next;
    }
  }
}
