import type { PairsOrigin, Provenance, SteeringVector } from "../lib/index.js";
import { alphaBlock } from "./alpha-strip.js";
import { print } from "./common.js";

/** What a vector is, and the norms of its directions. */
export function showVector(vector: SteeringVector, json: boolean): void {
  const { site, layers, nSteps, width, provenance } = vector;
  const byLayer = vector.norms();
  if (json) return print(JSON.stringify({ site, layers, nSteps, width, provenance, norms: byLayer }, null, 2));
  const largest = byLayer.flat().reduce((most, norm) => Math.max(most, norm), 0);
  print(table({
    property: provenance.property,
    "hook site": site,
    layers: `${layers.length} (${layers[0]} to ${layers.at(-1)}, counted from 0)`,
    steps: String(nSteps),
    width: String(width),
    ...describeOrigin(provenance),
    model: `${provenance.model.architecture}, ${provenance.model.nLayer} layers, nEmbd ${provenance.model.nEmbd}, ${provenance.model.nHead} heads, ${provenance.model.quantisation}`,
    "model file": short(provenance.model.fileHash),
    "made by": provenance.madeBy,
  }));
  print(`\nnorm of the delta per layer (down) and token step (across); full block = ${largest.toFixed(2)}`);
  for (const [index, row] of byLayer.entries()) print(`${String(layers[index]).padStart(4)} ${row.map((norm) => alphaBlock(norm, largest)).join("")}`);
}

/** Rows that say how a vector came to be. */
function describeOrigin({ origin, calibration }: Provenance): Record<string, string> {
  const calibrated = calibration && { calibrated: `${JSON.stringify(calibration.schedule)}: ${calibration.effect} in ${Math.round(calibration.found * 100)} % of ${calibration.n}, ΔPPL ${calibration.deltaPerplexity.toFixed(2)}` };
  return { ...ofKind(origin), ...calibrated };
}

function ofKind(origin: Provenance["origin"]): Record<string, string> {
  switch (origin.kind) {
    case "icl": return {
      datasets: contrast(origin),
      prompts: `${origin.support} with ${origin.iclExamples} demonstrations, ${origin.seed === null ? "given by index" : `seed ${origin.seed}`}`,
    };
    case "pairs": return {
      datasets: contrast(origin),
      pairs: `${origin.nPairs}, template ${origin.template}, rows ${origin.pooling}`,
      method: { mean: "mean difference", pca: "principal component of the differences", probe: "direction of a logistic regression" }[origin.method],
    };
    case "derived": return { "made of": origin.from.map(({ property, hash }) => `${property} (${short(hash)})`).join(", ") };
    case "imported": return { imported: `${origin.file} (${short(origin.hash)}), ${origin.format}` };
  }
}

function contrast({ positive, negative }: Pick<PairsOrigin, "positive" | "negative">): string {
  return `${positive.name} (${short(positive.hash)}) − ${negative.name} (${short(negative.hash)})`;
}

/** A hash by its first digits. */
export function short(hash: string): string {
  return hash.replace(/^([^:]+:.{12}).*$/, "$1…");
}

/** Names and values in two columns. */
export function table(rows: Record<string, string>): string {
  const width = Math.max(...Object.keys(rows).map((key) => key.length));
  return Object.entries(rows).map(([key, value]) => `${key.padEnd(width)}  ${value}`).join("\n");
}
