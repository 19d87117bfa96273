import { calibrateByKl } from "../../calibrate/index.js";
import type { Dataset } from "../../dataset/index.js";
import { SteeringError } from "../../errors.js";
import { extract, HELD_OUT_QUESTIONS, type ExtractionOptions } from "../../extract/index.js";
import type { SteeringVector } from "../../vector/index.js";
import type { CalibrateRequest, ExtractRequest } from "../schemas/index.js";
import type { Work } from "./job.js";

const EXTRACTING = "extracting";
const MEASURING = "measuring strength";

/** Makes a vector out of descriptions or pairs, and measures how strongly to add it. */
export function extraction(request: ExtractRequest): Work {
  return (model, { signal, onProgress }) => {
    const tell = (done: number, total: number): void => {
      if (done < total || request.strength === false) return onProgress(EXTRACTING, done, total);
      onProgress(MEASURING, 0, 0);
    };
    return extract(model, { ...optionsOf(request), signal, onProgress: tell });
  };
}

function optionsOf(request: ExtractRequest): ExtractionOptions {
  const { site, strength = true, max_new_tokens: maxNewTokens } = request;
  const common = { strength, ...(site && { site }) };
  if ("towards" in request) {
    const { towards, away, questions } = request;
    const optional = { ...(away !== undefined && { away }), ...(questions && { questions }), ...(maxNewTokens && { maxNewTokens }) };
    return { ...common, towards, ...optional };
  }
  const { pairs, names = ["positive", "negative"], method = "mean", pooling = "mean" } = request;
  const side = (which: "positive" | "negative", name: string): Dataset =>
    ({ name, instruction: "", rows: pairs.map((pair, index) => ({ input: pair.question ?? `${index}`, output: pair[which] })) });
  const isAsked = pairs.some(({ question }) => question !== undefined);
  return {
    ...common, method, pooling, positive: side("positive", names[0]), negative: side("negative", names[1]),
    ...(!isAsked && { format: "raw" as const }), ...(pooling === "step" && maxNewTokens && { maxNewTokens }),
  };
}

/** Measures how strongly to add a vector; throws E_BAD_ARGUMENT if no strength spends the budget. */
export function calibration(vector: SteeringVector, { budget, questions, max_new_tokens: maxNewTokens }: CalibrateRequest): Work {
  return async (model, { signal, onProgress }) => {
    const asked = questions ?? HELD_OUT_QUESTIONS;
    const name = questions ? "questions of a request" : "held-out everyday questions";
    const { vector: found } = await calibrateByKl(model, {
      vector, questions: { name, instruction: "", rows: asked.map((input) => ({ input, output: "" })) }, signal,
      ...(budget !== undefined && { budget }), ...(questions && { n: questions.length }), ...(maxNewTokens && { maxNewTokens }),
      onProgress: (done, total) => onProgress(MEASURING, done, total),
    });
    if (found) return found;
    throw new SteeringError("E_BAD_ARGUMENT", "no strength of this vector spends the KL budget; try a smaller budget, or another vector");
  };
}
