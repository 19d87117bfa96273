import { SteeringError } from "../errors.js";

/**
 * The places in a block where activations are read and changed (docs/architecture.md, "Hook sites"), named as in
 * native/engine/hook_site.h. A new site needs a name here, and a row there next to the code that finds it in a graph.
 */
export const HOOK_SITES = ["head_out", "attn_out", "mlp_out", "resid_mid", "resid_post"] as const;
/** One of `HOOK_SITES`. */
export type HookSite = (typeof HOOK_SITES)[number];

/** Whether a site holds the concatenated outputs of all heads, so that single heads can be steered there. */
export function hasHeads(site: HookSite): boolean {
  return site === "head_out";
}

/** Throws E_SHAPE unless these heads can be steered at a site of a model with `nHead` heads. */
export function assertHeads(site: HookSite, heads: readonly number[], nHead: number): void {
  if (!hasHeads(site)) throw new SteeringError("E_SHAPE", `a vector at ${site} has no heads to select; expected a vector at head_out`);
  const wrong = heads.find((head) => !Number.isInteger(head) || head < 0 || head >= nHead);
  if (wrong !== undefined) throw new SteeringError("E_SHAPE", `there is no head ${wrong}; the model has 0 to ${nHead - 1}`);
}
