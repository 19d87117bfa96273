/** Turns tokens' bytes into text as it becomes certain: whole UTF-8 characters, and nothing that may begin a stop string. */
export class TextStream {
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  private pending = "";
  /** The stop string that ended the text. */
  stoppedBy: string | undefined;

  constructor(private readonly stops: readonly string[]) {}

  /** Text that the bytes made certain; after a stop string was met, always empty. */
  push(bytes: Uint8Array): string {
    if (this.stoppedBy !== undefined) return "";
    this.pending += this.decoder.decode(bytes, { stream: true });
    const met = this.firstStop();
    if (met) {
      this.stoppedBy = met.stop;
      return this.release(met.index, "");
    }
    return this.release(this.pending.length - this.heldBack());
  }

  /** What is left at the end of the generation. */
  finish(): string {
    if (this.stoppedBy !== undefined) return "";
    this.pending += this.decoder.decode();
    return this.release(this.pending.length);
  }

  private release(length: number, rest = this.pending.slice(length)): string {
    const text = this.pending.slice(0, length);
    this.pending = rest;
    return text;
  }

  /** The stop that is complete first, the longest of several: so a stop within another cuts the same text however the tokens fall. */
  private firstStop(): { stop: string; index: number } | undefined {
    return this.stops
      .map((stop) => ({ stop, index: this.pending.indexOf(stop) }))
      .filter(({ index }) => index >= 0)
      .sort((a, b) => (a.index + a.stop.length) - (b.index + b.stop.length) || a.index - b.index)[0];
  }

  /** Length of the longest end of the pending text that a stop string begins with. */
  private heldBack(): number {
    let longest = 0;
    for (const stop of this.stops) {
      for (let length = Math.min(stop.length - 1, this.pending.length); length > longest; length--) {
        if (this.pending.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
