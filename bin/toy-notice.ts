import { models } from "../lib/index.js";
import { ownDatasets } from "../lib/models/index.js";
import { note } from "./common.js";
import { megabytes } from "./progress.js";

/** The smallest model that follows instructions in several languages. */
const INSTEAD = "qwen2.5-coder-0.5b-instruct";

/** Says of the model that the package has for its tests that it is one, and which model to use instead. */
export function noteToy(model: string, quiet: boolean): void {
  if (ownDatasets(model) === undefined) return;
  const { size } = models.find(INSTEAD);
  const amount = size === undefined ? "" : ` (${megabytes(size)}, downloaded at its first use)`;
  note(`note: ${model} is a toy for tests: it knows a few everyday questions and answers nonsense to others. `
    + `Use a real model, e.g. ${INSTEAD}${amount}`, quiet);
}
