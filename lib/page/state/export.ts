import type { Comparison } from "../logic/comparison.js";
import { comparisonHtml } from "../logic/comparison.js";
import { howWords } from "../logic/how.js";
import { gateWords } from "../logic/readings.js";
import { scheduleWords } from "../logic/shorthand.js";
import { drawComparison } from "./picture.js";
import { latest } from "./run.js";
import { permalink, scale, setting, titleOfId } from "./store.js";

function comparison(): Comparison {
  const { question, answers } = latest()!;
  return {
    model: setting.value.model ?? "", question, scale: scale.value, link: permalink(),
    answers: answers.map((answer) => ({
      title: answer.title, how: answer.entries.map(({ vector, schedule, ...how }) => (
        `${titleOfId(vector)}: ${[scheduleWords(schedule), ...howWords(how, titleOfId)].join(", ")}`
      )).join("; ") || (answer.system === "" ? "the model as it is" : `system message: ${answer.system}`),
      figures: [
        `${answer.tokens.length} tokens`,
        ...(answer.tokensPerSecond === undefined ? [] : [`${answer.tokensPerSecond.toFixed(0)} tokens/s`]),
        ...answer.spent.map((spent) => `nats spent: ${spent}`),
        ...(typeof answer.perplexity === "number" ? [`perplexity ${answer.perplexity.toFixed(1)}`] : []),
      ].join(", "),
      tokens: answer.tokens.map(({ text, readings, logprob }) => {
        const kls = readings.flatMap(({ kl }) => (kl === null ? [] : [kl]));
        return {
          text, alpha: readings.reduce((sum, { alpha }) => sum + Math.abs(alpha), 0), kl: kls.length > 0 ? Math.max(...kls) : null,
          probability: Math.exp(logprob), gates: readings.flatMap(({ gate }) => (gate ? [gateWords(gate)] : [])),
        };
      }),
    })),
  };
}

export function downloadComparison(): void {
  save(new Blob([comparisonHtml(comparison())], { type: "text/html" }), "html");
}

export async function downloadPicture(): Promise<void> {
  save(await drawComparison(comparison()), "png");
}

function save(blob: Blob, ending: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${latest()!.question.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 50).replace(/^-|-$/g, "") || "comparison"}.${ending}`;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
