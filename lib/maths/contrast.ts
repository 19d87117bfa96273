import { auc } from "./classification.js";
import { dot } from "./dot.js";
import { seededRandom } from "./random.js";

/** Paired rows: `positive[i]` belongs to `negative[i]`. */
export interface PairedRows {
  positive: readonly Float32Array[];
  negative: readonly Float32Array[];
}

/**
 * Inner products of the rows of n pairs with the differences of all pairs, all that the statistics below need. Those of several layers
 * can be added.
 */
export interface ContrastProducts {
  n: number;
  /** `[n, n]`: positive row i · difference j. */
  positive: Float64Array;
  /** `[n, n]`: negative row i · difference j. */
  negative: Float64Array;
}

/** How consistent the differences of pairs are. */
export interface ContrastStatistics {
  /** Mean cosine of each pair's difference to the mean difference of the other pairs: near 0 for noise, whatever the number of pairs. */
  agreement: number;
  /** Cosine between the mean differences of the even and the odd pairs. */
  splitHalf: number;
  /** AUC of the rows of one half of the pairs, projected onto the mean difference of the other half; the mean of both ways. */
  auc: number;
}

/** Sign flips of `chanceOf`, with which the smallest result is 1 / 1000. */
const N_FLIPS = 999;
const SEED = 1;

export function contrastProducts({ positive, negative }: PairedRows): ContrastProducts {
  const n = positive.length;
  const [above, below] = [positive, negative].map((rows) => rows.map((row) => Float64Array.from(row))) as [Float64Array[], Float64Array[]];
  const differences = above.map((row, i) => row.map((value, j) => value - below[i]![j]!));
  const products = (rows: readonly Float64Array[]): Float64Array =>
    Float64Array.from({ length: n * n }, (_, at) => dot(rows[Math.floor(at / n)]!, differences[at % n]!));
  return { n, positive: products(above), negative: products(below) };
}

/** Sum over layers, each scaled to the same sum of squared differences, so that no layer outweighs the others. */
export function sumOfProducts(layers: readonly ContrastProducts[]): ContrastProducts {
  const { n } = layers[0]!;
  const sum: ContrastProducts = { n, positive: new Float64Array(n * n), negative: new Float64Array(n * n) };
  for (const layer of layers) {
    const squares = trace(layer);
    if (squares === 0) continue;
    for (const side of ["positive", "negative"] as const) {
      for (let at = 0; at < n * n; at++) sum[side][at]! += layer[side][at]! / squares;
    }
  }
  return sum;
}

/** Differences of zero, and single pairs, have the cosine 0 and the AUC 0.5. */
export function contrastStatistics(products: ContrastProducts): ContrastStatistics {
  const { n } = products;
  const gram = gramOf(products);
  const all = Array.from({ length: n }, (_, i) => i);
  const [even, odd] = [all.filter((i) => i % 2 === 0), all.filter((i) => i % 2 === 1)];
  const agreement = all.map((i) => {
    const others = all.filter((j) => j !== i);
    return cosine(sumOf(gram, n, [i], others), gram[i * n + i]!, sumOf(gram, n, others, others));
  });
  return {
    agreement: agreement.reduce((sum, value) => sum + value, 0) / n,
    splitHalf: cosine(sumOf(gram, n, even, odd), sumOf(gram, n, even, even), sumOf(gram, n, odd, odd)),
    auc: (halfAuc(products, even, odd) + halfAuc(products, odd, even)) / 2,
  };
}

/**
 * Probability that differences with random signs have a mean as long as this one, by 999 seeded sign flips. If the
 * sides of each pair were swapped at random, all values are equally likely.
 */
export function chanceOf(products: ContrastProducts): number {
  const { n } = products;
  const gram = gramOf(products);
  const random = seededRandom(SEED);
  const signs = new Float64Array(n).fill(1);
  // The squared length less the squares of the single differences, halved: signs only change what is between two differences.
  const between = (): number => {
    let sum = 0;
    for (let i = 1; i < n; i++) {
      let row = 0;
      for (let j = 0; j < i; j++) row += signs[j]! * gram[i * n + j]!;
      sum += signs[i]! * row;
    }
    return sum;
  };
  const own = between();
  const rounding = 1e-9 * Math.abs(own); // all signs reversed give the same length
  let asLong = 1;
  for (let flip = 0; flip < N_FLIPS; flip++) {
    for (let i = 0; i < n; i++) signs[i] = random() < 0.5 ? -1 : 1;
    if (between() >= own - rounding) asLong++;
  }
  return asLong / (N_FLIPS + 1);
}

/** Length of the mean difference. */
export function shiftLength(products: ContrastProducts): number {
  return Math.sqrt(Math.max(0, gramOf(products).reduce((sum, value) => sum + value, 0))) / products.n;
}

/** `[n, n]`: difference i · difference j. */
function gramOf({ positive, negative }: ContrastProducts): Float64Array {
  return positive.map((value, at) => value - negative[at]!);
}

function trace(products: ContrastProducts): number {
  return gramOf(products).reduce((sum, value, at) => (at % (products.n + 1) === 0 ? sum + value : sum), 0);
}

function sumOf(matrix: Float64Array, n: number, rows: readonly number[], columns: readonly number[]): number {
  let sum = 0;
  for (const i of rows) for (const j of columns) sum += matrix[i * n + j]!;
  return sum;
}

function cosine(product: number, squareA: number, squareB: number): number {
  const squares = squareA * squareB;
  return squares > 0 ? product / Math.sqrt(squares) : 0;
}

function halfAuc({ n, positive, negative }: ContrastProducts, tested: readonly number[], from: readonly number[]): number {
  if (tested.length === 0 || from.length === 0) return 0.5;
  const scores = [positive, negative].flatMap((side) => tested.map((i) => sumOf(side, n, [i], from)));
  return auc(scores, scores.map((_, at) => at < tested.length));
}
