/** How far two judges agree on the same items. */
export interface Agreement {
  /** Items that both judged. */
  n: number;
  /** Share of these on which they agree; NaN without items. */
  share: number;
  /** Cohen's kappa: agreement beyond chance, 1 if they always agree, 0 if as often as by chance; NaN if chance alone gives certainty. */
  kappa: number;
}

/** Agreement of two lists of labels, item by item; items with a null on either side are left out. */
export function agreement<Label extends string | boolean>(
  ours: ReadonlyArray<Label | null>, theirs: ReadonlyArray<Label | null>,
): Agreement {
  const pairs = ours.flatMap((label, index) => {
    const other = theirs[index] ?? null;
    return label === null || other === null ? [] : [[label, other] as const];
  });
  const n = pairs.length;
  const share = pairs.filter(([a, b]) => a === b).length / n;
  const labels = [...new Set(pairs.flat())];
  const chance = labels.reduce((sum, label) =>
    sum + (pairs.filter(([a]) => a === label).length / n) * (pairs.filter(([, b]) => b === label).length / n), 0);
  return { n, share, kappa: (share - chance) / (1 - chance) };
}
