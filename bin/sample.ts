import { prompts, type Model, type Steering } from "../lib/index.js";
import { formatOf } from "../lib/vector/index.js";
import { onStdout, type Colours } from "./colours.js";
import { defined } from "./common.js";

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

/** The sample as lines of a terminal. */
export function sampleLines({ question, unsteered, steered }: Sample, { bold, dim }: Colours = onStdout): string {
  return `${bold(question)}\n${dim("unsteered")}  ${unsteered.trim()}\n${dim("steered")}    ${steered.trim()}`;
}
