import { requireInteger } from "../checks.js";
import { SteeringError } from "../errors.js";
import { questionPrompt, type Dataset, type Row } from "../dataset/index.js";
import type { Engine } from "../engine/index.js";

export { questionPrompt };

/** Consecutive rows of a dataset: the demonstrations, then the row to ask. */
export interface PromptGroup {
  demonstrations: Row[];
  query: Row;
}

/** Splits a dataset into groups of `iclExamples` + 1 rows and drops an incomplete last one (docs/method.md §2). Throws E_BAD_DATASET. */
export function promptGroups(dataset: Dataset, iclExamples: number): PromptGroup[] {
  requireInteger("iclExamples", iclExamples, { min: 0 });
  const size = iclExamples + 1;
  const groups = Array.from({ length: Math.floor(dataset.rows.length / size) }, (_, index) => {
    const rows = dataset.rows.slice(index * size, (index + 1) * size);
    return { demonstrations: rows.slice(0, -1), query: rows.at(-1)! };
  });
  if (groups.length === 0) {
    throw new SteeringError("E_BAD_DATASET",
      `dataset ${dataset.name} has ${dataset.rows.length} rows; one prompt with ${iclExamples} demonstrations needs ${size}`);
  }
  return groups;
}

/** The prompt with demonstrations: instruction, demonstrations, query (docs/method.md §2). */
export function iclPrompt(instruction: string, { demonstrations, query }: PromptGroup): string {
  const shown = demonstrations.map(({ input, output }) => `Q:${input}\nA:${output}\n\n`).join("");
  return `${instruction ? `${instruction}\n` : ""}${shown}${questionPrompt(query.input)}`;
}

/** How to write prompts: cleanly, or with the quirks of the published code (docs/method.md §2). */
export type QaVariant = "clean" | "published";

/** The parts of a model that prompts are written with. */
export type Tokeniser = Pick<Engine, "tokenise"> & { info: Pick<Engine["info"], "bosToken"> };

/** Tokens of the prompt with demonstrations. The published format omits the last demonstration, as the published code does. */
export function iclTokens(model: Tokeniser, instruction: string, group: PromptGroup, format: QaVariant = "clean"): number[] {
  if (format === "clean") return model.tokenise(iclPrompt(instruction, group));
  const head = instruction ? [instruction, "\n"] : [];
  const shown = group.demonstrations.slice(0, -1).flatMap(({ input, output }) => ["Q:", input, "\nA:", output, "\n\n"]);
  return publishedTokens(model, [...head, ...shown, ...questionPieces(group.query.input)]);
}

/** Tokens of the prompt without demonstrations, after an opening paragraph if one is given. */
export function questionTokens(model: Tokeniser, question: string, format: QaVariant = "clean", opening?: string): number[] {
  const head = opening === undefined ? [] : [opening, "\n\n"];
  if (format === "clean") return model.tokenise(`${head.join("")}${questionPrompt(question)}`);
  return publishedTokens(model, [...head, ...questionPieces(question)]);
}

function questionPieces(question: string): string[] {
  return ["Q:", question, "\nA:"];
}

/** BOS, then each piece tokenised separately, with the special tokens that the model's tokeniser adds to every text. */
function publishedTokens(model: Tokeniser, pieces: readonly string[]): number[] {
  const { bosToken } = model.info;
  return [...(bosToken === null ? [] : [bosToken]), ...pieces.flatMap((piece) => model.tokenise(piece))];
}

/** Ends an answer to `questionPrompt` when the model invents the next question. */
export const QUESTION_STOP = "Q:";
