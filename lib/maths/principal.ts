import { SteeringError } from "../errors.js";
import { dot } from "./dot.js";
import { seededRandom } from "./random.js";

/** An eigenvector is found when `|G·v − λ·v|` is at most so much of λ. */
const TOLERANCE = 1e-12;
/** Krylov vectors to begin with; twice as many are tried until it is found. */
const FIRST_SIZE = 16;
const MAX_SWEEPS = 60;

/**
 * First principal component of rows as they are, not centred: the unit vector u with the largest `Σ (rowᵢ · u)²`. Zeros
 * for rows of zeros. The sign is not determined; the same rows give the same one.
 *
 * With rows D `[n, width]`, n ≪ width, the eigenvector v of the Gram matrix D·Dᵀ gives u as Dᵀ·v.
 *
 * @throws SteeringError E_SHAPE, E_NOT_FINITE
 */
export function principalComponent(rows: readonly ArrayLike<number>[]): Float64Array {
  const width = rows[0]?.length ?? 0;
  if (width === 0 || rows.some((row) => row.length !== width)) throw new SteeringError("E_SHAPE", "rows of one width were expected, at least one");
  let scale = 0;
  for (const row of rows) {
    for (let j = 0; j < width; j++) {
      if (!Number.isFinite(row[j])) throw new SteeringError("E_NOT_FINITE", "a value is not finite");
      scale = Math.max(scale, Math.abs(row[j]!));
    }
  }
  if (scale === 0) return new Float64Array(width);
  const scaled = rows.map((row) => Float64Array.from(row, (value) => value / scale)); // squares neither overflow nor vanish
  return combine(scaled, topEigenvector(gram(scaled)));
}

/**
 * Unit eigenvector of the largest eigenvalue of a symmetric matrix without negative eigenvalues, by Lanczos' method; where
 * several eigenvalues are equal, one of theirs.
 */
export function topEigenvector(matrix: readonly Float64Array[]): Float64Array {
  for (let size = FIRST_SIZE; ; size *= 2) {
    const { basis, projected } = krylov(matrix, Math.min(size, matrix.length));
    const vector = combine(basis, jacobi(projected));
    const image = multiply(matrix, vector);
    const eigenvalue = dot(vector, image);
    const residual = image.map((value, j) => value - eigenvalue * vector[j]!);
    if (Math.sqrt(dot(residual, residual)) <= TOLERANCE * eigenvalue || size >= matrix.length || basis.length < size) return vector;
  }
}

/** An orthonormal basis of the span of v, G·v, G²·v, …, as many as there are, and G in it. */
function krylov(matrix: readonly Float64Array[], size: number): { basis: Float64Array[]; projected: Float64Array[] } {
  const random = seededRandom(1);
  const basis = [normalise(Float64Array.from(matrix, () => random() - 0.5))]; // a regular start could be at right angles to the result
  const images: Float64Array[] = [];
  while (images.length < size) {
    const image = multiply(matrix, basis.at(-1)!);
    images.push(image);
    const next = image.slice();
    for (let pass = 0; pass < 2; pass++) { // once leaves what rounding adds
      for (const vector of basis) {
        const along = dot(next, vector);
        for (let j = 0; j < next.length; j++) next[j]! -= along * vector[j]!;
      }
    }
    if (images.length === size || Math.sqrt(dot(next, next)) <= TOLERANCE * Math.sqrt(dot(image, image))) break;
    basis.push(normalise(next));
  }
  return { basis, projected: basis.map((vector) => Float64Array.from(images, (image) => dot(vector, image))) };
}

function combine(vectors: readonly Float64Array[], weights: Float64Array): Float64Array {
  const sum = new Float64Array(vectors[0]!.length);
  vectors.forEach((vector, i) => vector.forEach((value, j) => { sum[j]! += weights[i]! * value; }));
  return normalise(sum);
}

function multiply(matrix: readonly Float64Array[], vector: Float64Array): Float64Array {
  return Float64Array.from(matrix, (row) => dot(row, vector));
}

/** The same of a small matrix, by cyclic rotations, each of which makes one element beside the diagonal zero. */
function jacobi(matrix: readonly Float64Array[]): Float64Array {
  const n = matrix.length;
  const a = matrix.map((row) => row.slice());
  const vectors = a.map((_, i) => Float64Array.from({ length: n }, (_unused, j) => Number(i === j))); // one per row
  const trace = a.reduce((sum, row, i) => sum + Math.abs(row[i]!), 0);
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    let largest = 0;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const beside = a[p]![q]!;
        largest = Math.max(largest, Math.abs(beside));
        if (beside === 0) continue;
        const theta = (a[q]![q]! - a[p]![p]!) / (2 * beside);
        const tangent = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
        const cosine = 1 / Math.hypot(tangent, 1);
        rotate(a, vectors, p, q, cosine, tangent * cosine);
      }
    }
    if (largest <= Number.EPSILON * trace) break;
  }
  const best = a.reduce((top, row, i) => (row[i]! > a[top]![top]! ? i : top), 0);
  return normalise(vectors[best]!);
}

/** The rows p and q, and of the matrix the columns too. Plain loops: this is most of the time. */
function rotate(a: Float64Array[], vectors: Float64Array[], p: number, q: number, cosine: number, sine: number): void {
  for (const row of a) {
    const first = row[p]!;
    const second = row[q]!;
    row[p] = cosine * first - sine * second;
    row[q] = sine * first + cosine * second;
  }
  for (const rows of [a, vectors]) {
    const above = rows[p]!;
    const below = rows[q]!;
    for (let j = 0; j < above.length; j++) {
      const first = above[j]!;
      const second = below[j]!;
      above[j] = cosine * first - sine * second;
      below[j] = sine * first + cosine * second;
    }
  }
}

function gram(rows: readonly Float64Array[]): Float64Array[] {
  const matrix = rows.map(() => new Float64Array(rows.length));
  for (let i = 0; i < rows.length; i++) for (let j = 0; j <= i; j++) matrix[i]![j] = matrix[j]![i] = dot(rows[i]!, rows[j]!);
  return matrix;
}

function normalise(vector: Float64Array): Float64Array {
  const norm = Math.sqrt(dot(vector, vector));
  return vector.map((value) => value / norm);
}
