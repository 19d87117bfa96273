import type { ServerResponse } from "node:http";

/** Characters that may wait for one response. */
const MOST_WAITING = 2 ** 16;

/**
 * Writes to responses once per turn of the event loop, after what else is due in it. So when a decode has brought a token to many
 * clients, the next decode begins first, and the writing is done while it computes.
 */
export class Outbox {
  private readonly waiting = new Map<ServerResponse, string>();

  /** Resolves when more can be written: at once, or when the client has read enough, or has left. */
  async write(to: ServerResponse, text: string): Promise<void> {
    if (this.waiting.size === 0) setImmediate(() => this.flush());
    const all = (this.waiting.get(to) ?? "") + text;
    this.waiting.set(to, all);
    if (all.length > MOST_WAITING) await new Promise(setImmediate); // comes after the flush
    if (to.writableNeedDrain) await drained(to);
  }

  /** Writes what waits for a response, then `text`, and ends it. */
  end(to: ServerResponse, text: string): void {
    const before = this.waiting.get(to) ?? "";
    this.waiting.delete(to);
    if (!to.destroyed) to.end(before + text);
  }

  private flush(): void {
    const all = [...this.waiting];
    this.waiting.clear();
    for (const [to, text] of all) if (!to.destroyed) to.write(text);
  }
}

function drained(to: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      to.off("drain", done).off("close", done);
      resolve();
    };
    if (to.destroyed) return resolve();
    to.on("drain", done).on("close", done);
  });
}
