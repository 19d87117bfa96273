/** A token that could come next. */
export interface Candidate {
  token: number;
  /** In nats, before the sampler's settings. */
  logProbability: number;
}

/** The `n` likeliest tokens of a row's logits `[nVocab]`, the likeliest first; the lower token first if two are equal. */
export function likeliest(logits: Float32Array, n: number): Candidate[] {
  const tokens = best(logits, Math.min(n, logits.length));
  const most = logits[tokens[0] ?? 0] ?? 0;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  const total = most + Math.log(sum);
  return tokens.map((token) => ({ token, logProbability: logits[token]! - total }));
}

/** Indices of the `n` largest values, descending; `n` is small. */
function best(values: Float32Array, n: number): number[] {
  const kept: number[] = [];
  if (n === 0) return kept;
  let least = -Infinity;
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    if (kept.length === n && !(value > least)) continue;
    let place = kept.length;
    while (place > 0 && value > values[kept[place - 1]!]!) place--;
    kept.splice(place, 0, index);
    if (kept.length > n) kept.pop();
    least = values[kept[kept.length - 1]!]!;
  }
  return kept;
}
