import type { Context, ContextNeeds } from "../context.js";

/** The context that running tasks share, and which of its sequences are free. */
export class Room {
  /** Undefined before the first task, and if a context could not be created. */
  context: Context | undefined;
  /** True if the context's cells or state cannot be trusted: it must be replaced before anything starts. */
  isTainted = false;
  private free: number[] = [];
  private isDisposed = false;

  constructor(private readonly createContext: (needs: ContextNeeds) => Promise<Context>) {}

  get nFree(): number {
    return this.free.length;
  }

  /** Takes the lowest free sequences. */
  take(nSequences: number): number[] {
    return this.free.splice(0, nSequences);
  }

  /** Frees sequences, and the cells that no other sequence shares. */
  giveBack(sequences: readonly number[]): void {
    if (this.isDisposed) return;
    for (const sequence of sequences) this.context!.kvRemove(sequence);
    this.free.push(...sequences);
    this.free.sort((a, b) => a - b); // models with whole sequences compute consecutive ones together
  }

  /** While nothing runs, provides a trusted context of at least this size. Throws what creating one throws. */
  async fit({ nCtx, nSeqMax }: ContextNeeds): Promise<void> {
    if (this.isTainted) this.drop();
    const { options } = this.context ?? {};
    if (options && options.nCtx >= nCtx && options.nSeqMax >= nSeqMax) return;
    this.drop();
    // Never smaller than before: otherwise, work of alternating sizes would replace the context each time.
    const needs = { nCtx: Math.max(nCtx, options?.nCtx ?? 0), nSeqMax: Math.max(nSeqMax, options?.nSeqMax ?? 0) };
    const context = await this.createContext(needs);
    if (this.isDisposed) return context.dispose();
    this.context = context;
    this.free = Array.from({ length: context.options.nSeqMax }, (_, sequence) => sequence);
  }

  dispose(): void {
    this.isDisposed = true;
    this.context?.dispose();
  }

  private drop(): void {
    this.context?.dispose();
    this.context = undefined;
    this.isTainted = false;
  }
}
