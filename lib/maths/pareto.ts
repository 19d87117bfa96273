/** Something gained at a cost. */
export interface CostGain {
  cost: number;
  gain: number;
}

/** The points to which no other is preferable: none has at least the gain for at most the cost, and one of both better. By cost. */
export function paretoFront<Point extends CostGain>(points: readonly Point[]): Point[] {
  const isBetter = (a: Point, b: Point): boolean => a.cost <= b.cost && a.gain >= b.gain && (a.cost < b.cost || a.gain > b.gain);
  return points.filter((point) => !points.some((other) => isBetter(other, point))).sort((a, b) => a.cost - b.cost);
}

/**
 * Mean over the costs from `from` to `to` of the largest gain at no more than that cost, 0 below the cheapest point: the area under the
 * front, as a share of its width. The largest gain at `from` if both are equal.
 */
export function areaUnderFront(points: readonly CostGain[], from: number, to: number): number {
  const front = paretoFront(points);
  const gainAt = (cost: number): number => Math.max(0, ...front.filter((point) => point.cost <= cost).map(({ gain }) => gain));
  if (from === to) return gainAt(from);
  const edges = [from, ...new Set(front.map(({ cost }) => cost).filter((cost) => cost > from && cost < to)), to];
  const area = edges.slice(1).reduce((sum, edge, index) => sum + gainAt(edges[index]!) * (edge - edges[index]!), 0);
  return area / (to - from);
}
