import { SteeringError } from "../errors.js";

/**
 * Where in a block an activation is read and changed (docs/architecture.md, "Hook sites"). The names are those of
 * native/engine/hook_site.h: a new site is a name here and a row there, beside the code that finds it in a graph.
 */
export const HOOK_SITES = ["head_out", "attn_out", "mlp_out", "resid_mid", "resid_post"] as const;
/** One of `HOOK_SITES`. */
export type HookSite = (typeof HOOK_SITES)[number];

/** Whether the outputs of all heads stand side by side at a site, so that single heads can be steered there. */
export function hasHeads(site: HookSite): boolean {
  return site === "head_out";
}

/** Throws E_SHAPE unless these heads of a model can be steered at a site. */
export function assertHeads(site: HookSite, heads: readonly number[], nHead: number): void {
  if (!hasHeads(site)) throw new SteeringError("E_SHAPE", `a vector at ${site} has no heads to choose from`);
  const wrong = heads.find((head) => !Number.isInteger(head) || head < 0 || head >= nHead);
  if (wrong !== undefined) throw new SteeringError("E_SHAPE", `there is no head ${wrong}; the model has 0 to ${nHead - 1}`);
}
