import { prompts, type Model, type Steering } from "../lib/index.js";
import { formatOf } from "../lib/vector/index.js";
import { onStdout, type Colours } from "./colours.js";
import { defined } from "./common.js";
import { labelled, widthOf } from "./wrapped.js";

/** One question, and its answers without and with a vector. */
export interface Sample {
  question: string;
  unsteered: string;
  steered: string;
}

/** Answers a question without and with the vector, put as in the vector's extraction. */
export async function sampleOf(
  model: Model, steering: Steering, { question, maxNewTokens, signal }: { question: string; maxNewTokens: number; signal: AbortSignal },
): Promise<Sample> {
  const { provenance } = steering.vector;
  const { system, templateVariables } = provenance;
  const format = formatOf(provenance) ?? "auto";
  const tokens = await prompts.tokens(model, question, { format, ...defined({ system, templateVariables }) });
  const stop = format === "qa" ? [prompts.QUESTION_STOP] : [];
  const [unsteered, steered] = await Promise.all([[], [steering]].map(async (steer) => {
    const { answer } = await model.generate(tokens, { steer, maxNewTokens, stop, signal }).result();
    return answer.trim();
  }));
  return { question, unsteered: unsteered!, steered: steered! };
}

/** Columns of the labels. */
const MARGIN = 11;

/** The sample as lines of a terminal with `width` columns; without a width, lines end where the answers' do. */
export function sampleLines(
  { question, unsteered, steered }: Sample, { bold, dim }: Colours = onStdout, width = widthOf(process.stdout),
): string {
  const answer = (label: string, text: string): string => labelled(dim(label), text.trim(), MARGIN, width);
  return [bold(question), answer("unsteered", unsteered), answer("steered", steered)].join("\n");
}
