import type { Answer } from "../state/answer.js";
import { latest } from "../state/run.js";

const COST = "How surprising the unsteered model finds this answer, per token; lower is more fluent. "
  + "In brackets: the difference from the unsteered answer.";
const SPENT = "How far each budget moved the tokens from those without its vector, as KL.";

/** What an answer cost: speed, and perplexity against the unsteered column. */
export function Figures({ answer, index }: { answer: Answer | undefined; index: number }) {
  const version = answer?.slowVersion.value ?? 0;
  const baseline = latest()?.answers.find(({ isUnsteered }) => isUnsteered);
  void baseline?.slowVersion.value;
  const spent = answer?.entries.some(({ schedule }) => schedule.kind === "budget") ? answer.spent : undefined;
  const count = answer?.tokens.length ?? 0;
  return (
    <dl class="figures" data-version={version} aria-label={`Figures of column ${index + 1}`}>
      <div><dt>tokens</dt><dd>{count === 0 ? "–" : count}</dd></div>
      <div><dt>tokens/s</dt><dd>{rate(answer?.tokensPerSecond)}</dd></div>
      {spent !== undefined && <div title={SPENT}><dt>nats spent</dt><dd>{spent.join(" · ") || "–"}</dd></div>}
      <div title={COST}><dt>perplexity</dt><dd>{cost(answer, baseline)}</dd></div>
    </dl>
  );
}

function rate(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? "–" : value.toFixed(value < 10 ? 1 : 0);
}

function cost(answer: Answer | undefined, baseline: Answer | undefined): string {
  const { perplexity } = answer ?? {};
  if (typeof perplexity !== "number") return "–";
  const other = baseline === answer ? undefined : baseline?.perplexity;
  return `${short(perplexity)}${typeof other === "number" ? ` (${perplexity < other ? "−" : "+"}${short(Math.abs(perplexity - other))})` : ""}`;
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 2 });
const short = (value: number): string => (value < 100 ? value.toFixed(1) : compact.format(value));
