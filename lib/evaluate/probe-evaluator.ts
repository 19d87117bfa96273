import { createHash } from "node:crypto";
import { SteeringError } from "../errors.js";
import { baseName } from "../dataset/index.js";
import { engineVersion, type Engine } from "../engine/index.js";
import { packageVersion } from "../formats/index.js";
import { type Probe, probeTexts } from "../probe/index.js";
import type { Evaluator } from "./evaluator.js";

/** Options of `probeEvaluator`. */
export interface ProbeEvaluatorOptions {
  /** The side that counts as a success; none by default. */
  wanted?: "positive" | "negative" | undefined;
  /** What the probe judges, for example "formality". A property that several evaluators judge counts once. */
  property?: string | undefined;
}

/**
 * Evaluator that applies a probe, named `probe-<positive>-<negative>`. Columns: the name of the text's side ("und" for a text that is
 * empty or too long), `p` (probability of the positive side), `logit`, `hit`. `model` must be the one that the probe was trained on;
 * the caller keeps ownership of it.
 *
 * @throws SteeringError E_BAD_ARGUMENT if the probe was trained on prompts
 */
export function probeEvaluator(model: Engine, probe: Probe, { wanted, property }: ProbeEvaluatorOptions = {}): Evaluator {
  const { provenance, weights, bias, site, layer } = probe;
  if (provenance.reads === "prompt") {
    throw new SteeringError("E_BAD_ARGUMENT",
      `the probe "${provenance.property}" was trained on prompts; expected one trained on answers, which are what is judged`);
  }
  const names = { positive: baseName(provenance.positive.name), negative: baseName(provenance.negative.name) };
  const hash = createHash("sha256").update(weights).update(String(bias)).digest("hex");
  const name = [names.positive, names.negative].map((each) => each.toLowerCase().replace(/[^a-z0-9]+/g, "-")).join("-");
  return {
    name: `probe-${/[a-z0-9]/.test(name) ? name : hash.slice(0, 8)}`, ...(property !== undefined && { property }),
    wanted: wanted ? names[wanted] : null, batchSize: 128,
    config: { property: provenance.property, site, layer, weights: `sha256:${hash}`, model: { ...provenance.model } },
    versions: { llamaSteer: packageVersion(), llamaCpp: engineVersion() },
    evaluate: async (texts, signal) => (await probeTexts(model, probe, texts, signal ? { signal } : {})).map((found) => {
      const side = found && (found.probability >= 0.5 ? "positive" : "negative");
      return {
        "": side ? names[side] : "und", p: found?.probability ?? null, logit: found?.logit ?? null,
        ...(wanted && { hit: side ? side === wanted : null }),
      };
    }),
    [Symbol.dispose]: () => {},
  };
}
