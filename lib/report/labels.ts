/** A point of a chart and its label, in pixels. */
export interface LabelPoint {
  x: number;
  y: number;
  label: string;
}

/** The centre of a label, and whether it needs a line to its point. */
export interface PlacedLabel {
  x: number;
  y: number;
  isFar: boolean;
}

/** A rectangle in pixels. */
export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

const HEIGHT = 12;
/** Width of a wide character at font size 10. */
const CHARACTER = 6.4;
const RADIUS = 7;
const DISTANCES = [0, 12, 24, 38, 54, 72, 92];
const ANGLES = [0, 180, 90, 270, 30, 150, 210, 330, 60, 120, 240, 300].map((degrees) => (degrees * Math.PI) / 180);

/**
 * Place labels next to their points so that, if possible, none covers a point, another label or a `reserved` box. Each label takes the
 * nearest free place, in the order of `points`.
 */
export function placeLabels(
  points: readonly LabelPoint[],
  size: { width: number; height: number },
  reserved: readonly Box[] = [],
): PlacedLabel[] {
  const taken: Box[] = [
    ...reserved,
    ...points.map(({ x, y }) => ({ left: x - RADIUS, right: x + RADIUS, top: y - RADIUS, bottom: y + RADIUS })),
  ];
  return points.map(({ x, y, label }) => {
    const width = label.length * CHARACTER;
    const candidates = DISTANCES.flatMap((distance) =>
      ANGLES.map((angle): PlacedLabel => ({
        x: x + Math.cos(angle) * (RADIUS + 2 + width / 2 + distance),
        y: y - Math.sin(angle) * (RADIUS + HEIGHT / 2 + distance),
        isFar: distance > 0,
      })),
    );
    const boxOf = (place: PlacedLabel): Box => ({
      left: place.x - width / 2,
      right: place.x + width / 2,
      top: place.y - HEIGHT / 2,
      bottom: place.y + HEIGHT / 2,
    });
    const inside = candidates.filter((place) => isInside(boxOf(place), size));
    const chosen = inside.find((place) => !taken.some((other) => overlap(boxOf(place), other))) ?? inside[0] ?? candidates[0]!;
    taken.push(boxOf(chosen));
    return chosen;
  });
}

function isInside({ left, right, top, bottom }: Box, { width, height }: { width: number; height: number }): boolean {
  return left >= 0 && top >= 0 && right <= width && bottom <= height;
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
