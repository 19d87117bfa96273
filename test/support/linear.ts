// Linear algebra of the reference implementations, in double precision and in the plainest form.

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function addTo(target: Float64Array, source: Float64Array): void {
  for (let i = 0; i < target.length; i++) target[i]! += source[i]!;
}

/** Row-major. */
export interface Matrix {
  rows: number;
  columns: number;
  data: Float32Array;
}

/** One of a model's matrices. */
export function matrixOf({ weights }: { weights: ReadonlyMap<string, Matrix> }, name: string): Matrix {
  const found = weights.get(name);
  if (!found) throw new Error(`no tensor ${name}`);
  return found;
}

export function product({ rows, columns, data }: Matrix, x: Float64Array): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) => dot(data.subarray(row * columns, (row + 1) * columns), x));
}

/** Divided by its root mean square, times a weight per value. */
export function rmsNormed(x: Float64Array, { data }: Matrix, epsilon: number): Float64Array {
  const scale = 1 / Math.sqrt(dot(x, x) / x.length + epsilon);
  return x.map((value, i) => value * scale * data[i]!);
}

export function softmax(scores: ArrayLike<number>): number[] {
  const list = Array.from(scores);
  const largest = Math.max(...list);
  const weights = list.map((score) => Math.exp(score - largest));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}
