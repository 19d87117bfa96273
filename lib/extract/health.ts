import {
  chanceOf, contrastProducts, contrastStatistics, dot, shiftLength, sumOfProducts, type ContrastProducts, type PairedRows,
} from "../maths/index.js";
import type { Health, LayerHealth } from "../vector/index.js";
import { HEALTH_PAIRS } from "./contrast.js";

/** What the health of a vector needs to know of a layer. */
export interface LayerContrast {
  layer: number;
  products: ContrastProducts;
  /** Mean length of the activations. */
  length: number;
}

type Figures = Omit<Health, "verdict" | "reason" | "layers" | "effect">;

/** Fewer pairs have no sign flip rare enough to tell a contrast from chance: 2 of 2⁵ give 0.06. */
const LEAST_PAIRS = 6;
/** Usual level of significance: one shuffled contrast in twenty passes. */
const MOST_CHANCE = 0.05;
/** Near chance, 0.5: the direction of one half of the pairs says little about the other. */
const LEAST_AUC = 0.65;
/** Measured: the weakest vectors from words that had an effect have 0.29 and 0.80; shuffled labels stay below 0.21 and 0.60. */
const USABLE = { agreement: 0.2, auc: 0.75 };
/** Measured: the published contrasts of languages have 0.7 and 1. */
const STRONG = { agreement: 0.5, auc: 0.95 };

/** Uses at most `HEALTH_PAIRS` pairs. */
export function layerContrast(layer: number, rows: PairedRows): LayerContrast {
  const kept = { positive: rows.positive.slice(0, HEALTH_PAIRS), negative: rows.negative.slice(0, HEALTH_PAIRS) };
  const lengths = [...kept.positive, ...kept.negative].map((row) => Float64Array.from(row)).map((row) => Math.sqrt(dot(row, row)));
  return { layer, products: contrastProducts(kept), length: lengths.reduce((sum, value) => sum + value, 0) / lengths.length };
}

/** The health of a vector from the rows of its layers. Throws E_NOT_FINITE. */
export function contrastHealth(layers: readonly number[], rows: readonly PairedRows[]): Health {
  return healthOf(layers.map((layer, place) => layerContrast(layer, rows[place]!)));
}

/** Judges a contrast by how consistent its differences are. Throws E_NOT_FINITE. */
export function healthOf(contrasts: readonly LayerContrast[]): Health {
  const all = sumOfProducts(contrasts.map(({ products }) => products));
  const figures: Figures = { nPairs: all.n, ...contrastStatistics(all), chance: chanceOf(all) };
  const layers = contrasts.map(({ layer, products, length }): LayerHealth => ({
    layer, ...contrastStatistics(products), relativeNorm: length === 0 ? 0 : shiftLength(products) / length,
  }));
  return { ...verdictOf(figures), ...figures, layers };
}

/** The reason is for whoever made the vector: in plain words, without the figures, which `Health` has beside it. */
function verdictOf({ nPairs, agreement, auc, chance }: Figures): Pick<Health, "verdict" | "reason"> {
  if (nPairs < LEAST_PAIRS) {
    return { verdict: "weak", reason: `${nPairs} pairs are too few to tell a contrast from chance; use at least ${LEAST_PAIRS}` };
  }
  if (chance > MOST_CHANCE) {
    const share = `in ${Math.round(100 * chance)} % of the trials`;
    return { verdict: "noise", reason: `the two sides differ no more than by chance: swapped at random, they differ as much ${share}` };
  }
  if (auc < LEAST_AUC) {
    return { verdict: "noise", reason: "what tells the two sides apart in half of the pairs hardly does so in the other half" };
  }
  const reaches = (least: typeof USABLE): boolean => agreement >= least.agreement && auc >= least.auc;
  if (reaches(STRONG)) return { verdict: "strong", reason: "the two sides differ in much the same way in all pairs" };
  if (reaches(USABLE)) return { verdict: "usable", reason: "the two sides differ in the same way in most pairs, though not in all" };
  return { verdict: "weak", reason: "the two sides differ in another way in each pair; use more pairs, or a clearer contrast" };
}
