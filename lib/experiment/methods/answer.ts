import { SteeringError } from "../../errors.js";
import type { Engine } from "../../engine/index.js";
import { readAnswer, type AnswerOptions, type SteeringPart } from "../../evaluate/index.js";
import { divergence, generateText, perplexity, type GenerationResult, type Steering } from "../../generate/index.js";
import { mean } from "../../maths/index.js";
import type { Probe } from "../../probe/index.js";
import type { EvaluationPrompt } from "../../prompt/index.js";
import type { ResultRecord, RunSetting } from "../../results/index.js";

/** How a comparison of methods answers a question. */
export interface MethodAnswerOptions extends AnswerOptions {
  /** The probes of gates, by file. */
  probes: ReadonlyMap<string, Probe>;
  /** Measure the KL per token; default true. */
  measuresKl?: boolean;
}

/**
 * Answer one question in every setting, all at once. ΔPPL here is the perplexity of the answer itself after the bare question, under the
 * unsteered model, minus that of the unsteered answer (docs/method.md §10), so that it exists for every property.
 */
export async function answerByMethods(
  model: Engine, index: number, prompt: EvaluationPrompt, options: MethodAnswerOptions,
): Promise<ResultRecord[]> {
  const { settings, vectors, probes, maxNewTokens, signal, onAnswer, measuresKl = true } = options;
  const generation = { maxNewTokens, stop: prompt.stop, ...(signal && { signal }) };
  const unsteered = generateText(model, prompt.noIcl, generation);
  const usual = unsteered.then((answer) => ownPerplexity(model, prompt.noIcl, answer, signal));
  usual.catch(() => undefined); // each setting awaits it below

  return Promise.all(settings.map(async (setting): Promise<ResultRecord> => {
    const record: ResultRecord = {
      prompt: index, setting: setting.label, question: prompt.question, gold: prompt.gold,
      text: "", tokens: [], finishReason: "failed", alphas: [], kls: [], perplexity: null, deltaPerplexity: null,
    };
    try {
      const steer = steeringsOf(setting, vectors, probes);
      const isUnsteered = setting.prompt === "no-icl" && steer.length === 0;
      const answer = isUnsteered ? await unsteered
        : await generateText(model, setting.prompt === "prompted" ? prompt.prompted! : prompt.noIcl, { ...generation, steer });
      Object.assign(record, readAnswer(answer, steer.length));
      const [own, base] = [isUnsteered ? await usual : await ownPerplexity(model, prompt.noIcl, answer, signal), await usual];
      record.perplexity = own ?? null;
      record.deltaPerplexity = own === undefined || base === undefined ? null : own - base;
      const kls = measuresKl && steer.length > 0 ? await divergence(model, prompt.noIcl, steer, answer, signal) : [];
      if (kls.length > 0) record.klPerToken = mean(kls);
    } catch (error) {
      if ((error as SteeringError).code !== "E_NOT_FINITE") throw error;
      record.error = (error as SteeringError).message; // a model that breaks down under strong steering is a result
    }
    onAnswer?.();
    return record;
  }));
}

function steeringsOf(
  { steer }: RunSetting, vectors: readonly SteeringPart[], probes: ReadonlyMap<string, Probe>,
): Steering[] {
  return steer.map(({ vector, schedule, gate, only, layers }): Steering => {
    const how = { ...vectors[vector]!, schedule, ...(layers && { layers }), ...(only && { only }) };
    if (!gate) return how;
    const { probe: file, ...rule } = gate;
    return { ...how, gate: { probe: probes.get(file)!, ...rule } };
  });
}

/** Perplexity of an answer after the bare question, unsteered; undefined for an empty one. */
async function ownPerplexity(
  model: Engine, prompt: readonly number[], { tokens }: GenerationResult, signal: AbortSignal | undefined,
): Promise<number | undefined> {
  const written = tokens.map(({ token }) => token).filter((token) => !model.isEndOfGeneration(token));
  return written.length === 0 ? undefined : perplexity(model, prompt, written, { ...(signal && { signal }) });
}
