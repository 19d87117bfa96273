import { SteeringError } from "../errors.js";
import { parseGateRule, type FullGateRule, type GateRule } from "../steering/index.js";
import type { HookSite } from "./hook-site.js";
import type { ModelFingerprint } from "./provenance.js";
import type { Selection } from "./selection.js";
import type { VectorData } from "./vector.js";

/** What a gate reads with: a probe, as `probe.train` and `loadProbe` return it. */
export interface GateProbe {
  readonly site: HookSite;
  readonly layer: number;
  readonly weights: Float32Array;
  readonly bias: number;
  readonly provenance: { readonly property: string; readonly model: ModelFingerprint; readonly reads?: "answer" | "prompt" | undefined };
}

/** When at all a vector is added: a probe reads the activations, and its probability opens and shuts the gate. */
export interface Gate extends GateRule {
  probe: GateProbe;
  /** The file that the probe was loaded from. */
  path?: string;
}

/** A gate with all settings filled in. */
export type FullGate = FullGateRule & Pick<Gate, "probe" | "path">;

/** Validate a gate and fill in the defaults. Throws E_BAD_SPEC. */
export function parseGate(input: Gate | undefined): FullGate | undefined {
  if (input === undefined) return undefined;
  const { probe, path, ...rule } = input ?? {};
  if (!(probe?.weights instanceof Float32Array) || !probe.provenance) {
    throw new SteeringError("E_BAD_SPEC", "gate: expected a probe, as loadProbe returns it, and its threshold");
  }
  return { probe, ...(path !== undefined && { path }), ...parseGateRule(rule) };
}

/**
 * A line for the user of a gate whose probe was trained on something else than it reads, so that it may always say the same; undefined if
 * it fits.
 */
export function gateNotice(gate: Pick<FullGate, "probe" | "path" | "per"> | undefined): string | undefined {
  if (gate === undefined) return undefined;
  const { probe: { provenance: { property, reads = "answer" } }, path, per } = gate;
  const name = `the probe ${path ?? `"${property}"`}`;
  if (per === "prompt" && reads === "answer") {
    return `${name} was trained on answers, but its gate reads a prompt (per=prompt), where it may always say the same; `
      + "train one on prompts: probe train --reads prompt";
  }
  if (per === "token" && reads === "prompt") {
    return `${name} was trained on prompts, but its gate reads the answer's tokens; add per=prompt`;
  }
  return undefined;
}

/** The sites of a block in the order in which most models compute them. */
const ORDER: readonly HookSite[] = ["head_out", "attn_out", "resid_mid", "mlp_out", "resid_post"];

/** Which layers have which sites, such as an `Engine`. */
interface Sites {
  siteLayers(site: HookSite): number[];
}

/**
 * Throws E_BAD_SPEC if a gate's probe reads after the place where the vector is first added: the gate could not act on the same token.
 * A probe at the same place reads before the vector is added.
 */
export function assertReadsBefore(sites: Sites, { site, layer }: GateProbe, vector: VectorData, { layers = "all" }: Selection): void {
  const own = layers === "all" ? vector.layers : vector.layers.filter((each) => layers.includes(each));
  const isBefore = (at: number): boolean => at > layer || (at === layer && isEarlierInBlock(sites, layer, site, vector.site));
  if (own.every(isBefore)) return;
  const later = own.filter(isBefore);
  const what = later.length > 0 ? `add layers=${rangesOf(later)}` : `no layer of the vector comes after it; expected a probe that reads layer `
    + `${Math.min(...own)} or an earlier one`;
  throw new SteeringError("E_BAD_SPEC", `the gate's probe reads ${site} of layer ${layer}, but the vector is added before that, at `
    + `${vector.site} from layer ${Math.min(...own)} on, so the gate could not act on the same token; ${what}`);
}

/** With attention and MLP side by side, nothing is known of their order. */
function isEarlierInBlock(sites: Sites, layer: number, probe: HookSite, vector: HookSite): boolean {
  if (probe === vector) return true;
  const isSequence = sites.siteLayers("resid_mid").includes(layer);
  const isSurelyAfter = vector === "resid_post" || (probe === "head_out" && vector === "attn_out");
  return (isSequence || isSurelyAfter) && ORDER.indexOf(probe) < ORDER.indexOf(vector);
}

/** E.g. `4-9+12`, as `--steer` takes it. */
function rangesOf(layers: readonly number[]): string {
  const ranges: Array<[from: number, to: number]> = [];
  for (const layer of layers) {
    const last = ranges.at(-1);
    if (last && last[1] === layer - 1) last[1] = layer;
    else ranges.push([layer, layer]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join("+");
}
