import type { Provenance, VectorData } from "../../lib/vector/index.js";

/** Provenance of a vector that no model made. */
export function provenance(): Provenance {
  return {
    property: "ITA vs ENG",
    origin: {
      kind: "icl", positive: { name: "ITA", hash: "sha256:aa" },
    negative: { name: "ENG", hash: "sha256:bb" },
    iclExamples: 4, support: 3, seed: 32, supportIndices: [2, 0, 2], promptsHash: "sha256:cc",
    },
    model: {
      architecture: "gemma3", nLayer: 18, nEmbd: 640, nHead: 3, tokenizerHash: "fnv:1", fileHash: "sha256-sampled:2",
      quantisation: "Q4_K_M",
    },
    madeBy: "llama-steer 0.1.0",
  };
}

/** Layers 0 and 2 of `[2 steps, 3]`; the values name their place: layer · 100 + step · 10 + column, and ½. */
export function smallVector(): VectorData {
  const data = Float32Array.of(0.5, 1.5, 2.5, 10.5, 11.5, 12.5, 200.5, 201.5, 202.5, 210.5, 211.5, 212.5);
  return { site: "head_out", layers: [0, 2], nSteps: 2, width: 3, data, provenance: provenance() };
}
