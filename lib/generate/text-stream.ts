/** Turns tokens' bytes into text as soon as it is certain: whole UTF-8 characters, without a possible start of a stop string. */
export class TextStream {
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  private pending = "";
  /** The stop string that ended the text. */
  stoppedBy: string | undefined;

  constructor(private readonly stops: readonly string[]) {}

  /** Adds bytes and returns the text that became certain; after a stop string, always empty. */
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

  /** Returns the remaining text at the end of the generation. */
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

  /** The stop that is completed first, the longest if several are, so that tokenisation does not affect where the text is cut. */
  private firstStop(): { stop: string; index: number } | undefined {
    return this.stops
      .map((stop) => ({ stop, index: this.pending.indexOf(stop) }))
      .filter(({ index }) => index >= 0)
      .sort((a, b) => (a.index + a.stop.length) - (b.index + b.stop.length) || a.index - b.index)[0];
  }

  /** Length of the longest suffix of the pending text that is a prefix of a stop string. */
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
