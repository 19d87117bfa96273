import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";

const probability = z.number().min(0).max(1);
/** Without a threshold, a hard gate opens at even odds, and a smooth one is always open. */
const USUAL = { hard: 0.5, smooth: 0 } as const;

const rule = {
  /** The gate opens at this probability or above it, or at `below` or under it. */
  above: probability.optional(),
  below: probability.optional(),
  /** Once open, it stays open until the probability crosses this one. Default: the threshold. */
  until: probability.optional(),
  /** `token`: read at every token that is steered; `prompt`: read at the prompt's last token, for the whole answer. */
  per: z.enum(["token", "prompt"]).default("token"),
  /** What an open gate multiplies alpha with: `hard` 1; `smooth` the probability, or its complement with `below`. */
  shape: z.enum(["hard", "smooth"]).default("hard"),
};
const ruleSchema = z.strictObject(rule);

const A_PROBE = "expected the path of a probe file";

function checkRule({ above, below, until, per }: FullGateRule, context: z.RefinementCtx): void {
  const refuse = (message: string): void => context.addIssue({ code: "custom", message });
  if (above !== undefined && below !== undefined) refuse("above and below exclude each other; expected one of them");
  if (until === undefined) return;
  if (per === "prompt") refuse("a gate per prompt is read only once; leave out until");
  if (above !== undefined && until > above) refuse("until must be at most above");
  if (below !== undefined && until < below) refuse("until must be at least below");
  if (above === undefined && below === undefined) refuse("until needs above or below");
}

function withThreshold<Given extends FullGateRule>(gate: Given): Given {
  return gate.above === undefined && gate.below === undefined ? { ...gate, above: USUAL[gate.shape] } : gate;
}

/**
 * When at all a vector is added: a probe reads each row's activation, and the row's alpha is multiplied by the gate's value, which is 0
 * while it is shut (docs/method.md §4, Gates).
 */
export const gateSchema = z.strictObject({ probe: z.string(A_PROBE).min(1, A_PROBE), ...rule })
  .superRefine(checkRule).overwrite(withThreshold);
const parsedRule = ruleSchema.superRefine(checkRule).overwrite(withThreshold);

/** A gate of a specification. */
export type GateSpec = z.infer<typeof gateSchema>;
/** When a gate opens, and what it does then. */
export type GateRule = z.input<typeof ruleSchema>;
/** The same with all settings filled in; `above` or `below` is set. */
export type FullGateRule = z.infer<typeof ruleSchema>;

/** Validate a gate's settings and fill in the defaults. Throws E_BAD_SPEC, naming the setting. */
export function parseGateRule(input: GateRule): FullGateRule {
  return parsedBy(parsedRule, input, (problem) => new SteeringError("E_BAD_SPEC", `gate ${problem}`), "settings");
}

/**
 * Reads `when=PROBE>0.5` of the shorthand, or `when=PROBE` for the usual threshold; `>=` is the same, since a gate opens at its threshold.
 * Undefined if the threshold is not a number.
 */
export function parseWhen(text: string): Record<string, unknown> | undefined {
  const at = Math.max(text.lastIndexOf(">"), text.lastIndexOf("<"));
  if (at < 0) return { probe: text };
  const threshold = text.slice(at + 1).replace(/^=/, "").trim();
  if (threshold === "" || Number.isNaN(Number(threshold))) return undefined;
  return { probe: text.slice(0, at).trim(), [text[at] === ">" ? "above" : "below"]: Number(threshold) };
}

/** A gate as the shorthand has it: its settings after `when=`. */
export function gateText({ probe, above, below, until, per, shape }: GateSpec): string[] {
  return [
    `when=${probe}${below === undefined ? `>${above}` : `<${below}`}`, ...(until === undefined ? [] : [`until=${until}`]),
    ...(per === "token" ? [] : [`per=${per}`]), ...(shape === "hard" ? [] : [`gate=${shape}`]),
  ];
}
