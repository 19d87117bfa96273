/** A timeout that the first `isOver` starts, and that calls back when it expires. */
export class Patience {
  private timer: NodeJS.Timeout | undefined;
  private isSpent = false;

  constructor(private readonly milliseconds: number, private readonly call: () => void) {}

  /** False until `milliseconds` after the first call since the last `calm`. */
  isOver(): boolean {
    if (!this.isSpent) {
      this.timer ??= setTimeout(() => {
        this.isSpent = true;
        this.call();
      }, this.milliseconds);
    }
    return this.isSpent;
  }

  /** Resets the timeout; the next `isOver` starts it again. */
  calm(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.isSpent = false;
  }
}
