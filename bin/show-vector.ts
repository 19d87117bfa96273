import type { Calibration, Health, PairsOrigin, Provenance, SteeringVector } from "../lib/index.js";
import { scheduleText } from "../lib/steering/index.js";
import { formatOf } from "../lib/vector/index.js";
import { alphaBlock } from "./alpha-strip.js";
import { askedAs, print } from "./common.js";

/** Prints what a vector is, and the norms of its directions. */
export function showVector(vector: SteeringVector, json: boolean): void {
  const { site, layers, nSteps, width, provenance } = vector;
  const { model } = provenance;
  const format = formatOf(provenance);
  const byLayer = vector.norms();
  if (json) return print(JSON.stringify({ site, layers, nSteps, width, provenance, norms: byLayer }, null, 2));
  const largest = byLayer.flat().reduce((most, norm) => Math.max(most, norm), 0);
  print(table({
    property: provenance.property,
    ...(format && { "prompt format": askedAs({ ...provenance, format }) }),
    "hook site": site,
    layers: `${layers.length} (${layers[0]} to ${layers.at(-1)}, counted from 0)`,
    steps: String(nSteps),
    width: String(width),
    ...describeOrigin(provenance),
    ...(provenance.health && healthRows(provenance.health)),
    model: `${model.architecture}, ${model.nLayer} layers, nEmbd ${model.nEmbd}, ${model.nHead} heads, ${model.quantisation}`,
    "model file": short(model.fileHash),
    "made by": provenance.madeBy,
  }));
  print(`\nnorm of the delta by layer (down) and token step (across); a full block = ${largest.toFixed(2)}`);
  for (const [index, row] of byLayer.entries()) {
    print(`${String(layers[index]).padStart(4)} ${row.map((norm) => alphaBlock(norm, largest)).join("")}`);
  }
}

/** The verdict and its reason, e.g. "strong: …". */
export function healthLine({ verdict, reason }: Health): string {
  return `${verdict}: ${reason}`;
}

/** The verdict, and the figures that it comes from. */
function healthRows(health: Health): Record<string, string> {
  const { effect } = health;
  const rows = { health: healthLine(health), contrast: contrastLine(health) };
  if (!effect) return rows;
  const { alpha, kl, randomKl, gain, randomGain = 0 } = effect;
  const gained = gain === undefined ? ""
    : `; answers ${gain.toFixed(2)} nats per token likelier towards the description (random vector: ${randomGain.toFixed(2)})`;
  return { ...rows, effect: `KL ${kl.toFixed(2)} nats per token at alpha ${alpha} (random vector: ${randomKl.toFixed(2)})${gained}` };
}

function contrastLine({ nPairs, agreement, splitHalf, auc, layers }: Health): string {
  const lengths = layers.map(({ relativeNorm }) => relativeNorm);
  return `${nPairs} pairs: agreement ${agreement.toFixed(2)}, split-half cosine ${splitHalf.toFixed(2)}, held-out AUC ${auc.toFixed(2)}, `
    + `length ${Math.min(...lengths).toFixed(2)} to ${Math.max(...lengths).toFixed(2)} of the activations'`;
}

const METHODS = {
  mean: "mean difference", pca: "principal component of the differences", probe: "weights of a logistic regression",
} as const;

/** Rows about the origin of a vector. */
function describeOrigin({ origin, calibration }: Provenance): Record<string, string> {
  if (!calibration) return ofKind(origin);
  return { ...ofKind(origin), calibrated: `${scheduleText(calibration.schedule)}: ${calibrationResult(calibration)}` };
}

/** What a calibration measured at the strength that it chose. */
export function calibrationResult(calibration: Calibration): string {
  if (calibration.by === "description") {
    const { schedule, tried } = calibration;
    const { gain = null, loss = null } = tried.find((each) => scheduleText(each.schedule) === scheduleText(schedule)) ?? {};
    const figures = gain === null || loss === null ? ""
      : `answers ${gain.toFixed(2)} nats per token likelier towards it, ${loss.toFixed(2)} less fluent; `;
    return `${figures}the best of ${tried.length} schedules`;
  }
  if (calibration.by === "kl") {
    const { budget, budgetOf, spending, n, questions } = calibration;
    const unit = budget === 1 ? "nat" : "nats";
    const where = budgetOf === "p95" ? "in 95 % of the tokens" : "per token";
    const reduced = spending === undefined ? "" : `; weaker than ${spending}, where answers repeat themselves`;
    const most = spending === undefined ? "" : "at most ";
    return `KL of ${most}${budget} ${unit} ${where}, over ${n} questions of ${questions.name}${reduced}`;
  }
  const { effect, found, n, deltaPerplexity, costBy } = calibration;
  const cost = costBy === "perplexity" ? "perplexity" : "ΔPPL";
  return `${effect} in ${Math.round(found * 100)} % of ${n} answers, ${cost} ${deltaPerplexity.toFixed(2)}`;
}

function ofKind(origin: Provenance["origin"]): Record<string, string> {
  switch (origin.kind) {
    case "icl": return {
      datasets: contrast(origin),
      prompts: `${origin.support} with ${origin.iclExamples} demonstrations`,
      draw: origin.seed === null ? "given by index" : `seed ${origin.seed}`,
    };
    case "pairs": return {
      datasets: contrast(origin),
      pairs: `${origin.nPairs}, pooling ${origin.pooling}`,
      method: METHODS[origin.method],
    };
    case "words": return {
      towards: origin.towards,
      away: origin.away ?? "(neutral)",
      questions: `${origin.nQuestions}, ${origin.paraphrases.length} paraphrases, pooling ${origin.pooling}`,
    };
    case "derived": return { "made from": origin.from.map(({ property, hash }) => `${property} (${short(hash)})`).join(", ") };
    case "imported": return { imported: `${origin.file} (${short(origin.hash)}), ${origin.format}` };
  }
}

function contrast({ positive, negative }: Pick<PairsOrigin, "positive" | "negative">): string {
  return `${positive.name} (${short(positive.hash)}) − ${negative.name} (${short(negative.hash)})`;
}

/** The first digits of a hash. */
export function short(hash: string): string {
  return hash.replace(/^([^:]+:.{12}).*$/, "$1…");
}

/** Names and values in two columns. */
export function table(rows: Record<string, string>): string {
  const width = Math.max(...Object.keys(rows).map((key) => key.length));
  return Object.entries(rows).map(([key, value]) => `${key.padEnd(width)}  ${value}`).join("\n");
}
