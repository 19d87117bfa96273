import type { HookSite, Model, Probe } from "../../lib/index.js";
import { seededRandom } from "../../lib/maths/random.js";

/** A probe that nothing was trained on: random weights. */
export async function randomProbe(
  model: Model, seed: number, { site = "head_out", layer = 1, scale = 0.5 }: { site?: HookSite; layer?: number; scale?: number } = {},
): Promise<Probe> {
  const random = seededRandom(seed);
  const width = site === "head_out" ? model.info.nHead * model.info.dHead : model.info.nEmbd;
  return { ...untrained(), site, layer, weights: Float32Array.from({ length: width }, () => (random() - 0.5) * scale), bias: random() - 0.5,
    provenance: { ...untrained().provenance, property: `random ${seed}`, model: await model.fingerprint() } };
}

/** Two weights at resid_post of layer 3, as from some model of 18 layers. */
export function untrained(): Probe {
  const reference = (name: string) => ({ name, hash: `sha256:${name}` });
  return {
    site: "resid_post", layer: 3, weights: Float32Array.of(0.1, -1 / 3), bias: 1 / 7,
    heldOut: { n: 10, accuracy: 0.9, auc: 0.95, ece: 0.1, brier: 0.05 },
    layers: [{ layer: 3, lambda: 0.1, accuracy: 0.8, auc: 0.9, logLoss: 0.3 }],
    provenance: {
      property: "a vs b", positive: reference("a"), negative: reference("b"), heldOut: { kind: "split" }, trainedOn: 40, lambda: 0.1,
      folds: 5, seed: 32,
      model: {
        architecture: "gemma3", nLayer: 18, nEmbd: 2, nHead: 1, tokenizerHash: "fnv:1", fileHash: "sha256-sampled:2",
        quantisation: "Q4_K_M",
      }, madeBy: "test",
    },
  };
}
