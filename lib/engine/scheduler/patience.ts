/** Waits a while before it gives up, and calls when it does. */
export class Patience {
  private timer: NodeJS.Timeout | undefined;
  private isSpent = false;

  constructor(private readonly milliseconds: number, private readonly call: () => void) {}

  /** False until it was asked for so long without `calm`; from the first time on it counts. */
  isOver(): boolean {
    if (!this.isSpent) {
      this.timer ??= setTimeout(() => {
        this.isSpent = true;
        this.call();
      }, this.milliseconds);
    }
    return this.isSpent;
  }

  /** Begin anew when it is asked again. */
  calm(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.isSpent = false;
  }
}
