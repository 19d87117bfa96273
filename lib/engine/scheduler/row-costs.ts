/** How much of a measurement stays after the next one. */
const MEMORY = 0.98;
/** A decode that lasts longer than this many times what is expected was disturbed. */
const OUTLIER = 3;
/** Decodes before their line is trusted. */
const LEAST_DECODES = 16;
/** What a row costs in units of a decode's fixed cost, on common CPUs and small batches. */
const TYPICAL = 0.27;

/** What rows cost: fits a line, fixed cost plus cost per row, to the durations of the last decodes. */
export class RowCosts {
  private count = 0;
  private weight = 0;
  private rows = 0;
  private seconds = 0;
  private rowsRows = 0;
  private rowsSeconds = 0;

  /** `isFixed`: always as on common CPUs, so that nothing depends on a clock. */
  constructor(private readonly isFixed = false) {}

  /** Adds the duration of a decode. */
  observe(rows: number, seconds: number): void {
    if (this.isFixed) return;
    const { fixed, perRow } = this.line();
    const expected = fixed + perRow * rows;
    const kept = this.count >= LEAST_DECODES && expected > 0 ? Math.min(seconds, OUTLIER * expected) : seconds;
    this.count++;
    this.weight = this.weight * MEMORY + 1;
    this.rows = this.rows * MEMORY + rows;
    this.seconds = this.seconds * MEMORY + kept;
    this.rowsRows = this.rowsRows * MEMORY + rows * rows;
    this.rowsSeconds = this.rowsSeconds * MEMORY + rows * kept;
  }

  /** The cost of a row in units of a decode's fixed cost; 0 if rows cost nothing, infinite if a decode costs nothing else. */
  get relative(): number {
    const { fixed, perRow } = this.line();
    if (this.count < LEAST_DECODES || Number.isNaN(perRow)) return TYPICAL;
    return fixed > 0 ? Math.max(0, perRow) / fixed : Infinity;
  }

  /** NaN while all decodes had the same number of rows. */
  private line(): { fixed: number; perRow: number } {
    const spread = this.weight * this.rowsRows - this.rows * this.rows;
    const isSpread = spread > 1e-9 * this.weight * this.rowsRows;
    const perRow = isSpread ? (this.weight * this.rowsSeconds - this.rows * this.seconds) / spread : NaN;
    return { fixed: (this.seconds - perRow * this.rows) / this.weight, perRow };
  }
}
