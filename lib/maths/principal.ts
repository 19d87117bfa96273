import { SteeringError } from "../errors.js";
import { dot } from "./dot.js";
import { seededRandom } from "./random.js";

/** An eigenvector is accepted if `|G·v − λ·v|` is at most this share of λ. */
const TOLERANCE = 1e-12;
/** Initial number of Krylov vectors, doubled until the eigenvector is accepted. */
const FIRST_SIZE = 16;
const MAX_SWEEPS = 60;

/**
 * First principal component of uncentred rows: the unit vector u with the largest `Σ (rowᵢ · u)²`, or zeros if all rows are
 * zero. The sign is arbitrary, but the same rows always give the same sign.
 *
 * For rows D `[n, width]` with n ≪ width, u is Dᵀ·v, normalised, where v is the top eigenvector of the Gram matrix D·Dᵀ.
 *
 * @throws SteeringError E_SHAPE, E_NOT_FINITE
 */
export function principalComponent(rows: readonly ArrayLike<number>[]): Float64Array {
  const width = rows[0]?.length ?? 0;
  if (width === 0 || rows.some((row) => row.length !== width)) {
    throw new SteeringError("E_SHAPE", "the rows are empty or differ in width; expected at least one row, all of the same width");
  }
  let scale = 0;
  for (const row of rows) {
    for (let j = 0; j < width; j++) {
      if (!Number.isFinite(row[j])) throw new SteeringError("E_NOT_FINITE", "a value is not finite; expected finite numbers");
      scale = Math.max(scale, Math.abs(row[j]!));
    }
  }
  if (scale === 0) return new Float64Array(width);
  const scaled = rows.map((row) => Float64Array.from(row, (value) => value / scale)); // so that squares neither overflow nor underflow
  return combine(scaled, topEigenvector(gram(scaled)));
}

/**
 * Unit eigenvector of the largest eigenvalue of a symmetric positive semidefinite matrix, by the Lanczos method. If that eigenvalue
 * is repeated, any of its eigenvectors.
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

/** Orthonormal basis of the Krylov space of v, G·v, G²·v, …, of at most `size` vectors, and G projected onto it. */
function krylov(matrix: readonly Float64Array[], size: number): { basis: Float64Array[]; projected: Float64Array[] } {
  const random = seededRandom(1);
  const basis = [normalise(Float64Array.from(matrix, () => random() - 0.5))]; // a regular start could be orthogonal to the result
  const images: Float64Array[] = [];
  while (images.length < size) {
    const image = multiply(matrix, basis.at(-1)!);
    images.push(image);
    const next = image.slice();
    for (let pass = 0; pass < 2; pass++) { // a single pass leaves rounding errors
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

/** Top eigenvector of a small matrix, by cyclic Jacobi rotations, each of which zeroes one off-diagonal element. */
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

/** Rotate rows p and q, and in the matrix columns p and q too. Plain loops, because this takes most of the time. */
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
