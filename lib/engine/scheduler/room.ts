import type { Context, ContextNeeds } from "../context.js";
import type { Beginning, Kept } from "./kept.js";

/** What a task claims: sequences, and the cells that it and all running tasks may fill. */
export interface Claim {
  nSequences: number;
  nCells: number;
}

/** The context that running tasks share, which of its sequences are free, and which only keep cells. */
export class Room {
  /** Undefined before the first task, and if a context could not be created. */
  context: Context | undefined;
  /** True if the context's cells or state cannot be trusted: it must be replaced before anything starts. */
  isTainted = false;
  private free: number[] = [];
  /** Those that have not been used for longest come first. */
  private keeping: Kept[] = [];
  private isDisposed = false;

  /** `hasWholeSequences`: sequences cannot be cut at a token. */
  constructor(
    private readonly createContext: (needs: ContextNeeds) => Promise<Context>, private readonly hasWholeSequences = false,
  ) {}

  get kept(): readonly Kept[] {
    return this.keeping;
  }

  /** True if the task fits beside the running ones; what is kept does not count. */
  fits({ nSequences, nCells }: Claim): boolean {
    return nSequences <= this.free.length + this.keeping.length && nCells <= this.context!.options.nCtx;
  }

  /**
   * Takes the lowest free sequences for a task that fits, after dropping the kept ones for which there is no room beside it. The first
   * sequence begins with the cells of `beginning`, which gives up its own sequence if the owner is the same, or if both do not fit.
   */
  take(claim: Claim, beginning?: Beginning, owner?: object): number[] {
    const kept = beginning?.kept;
    if (kept && kept.owner === owner) return this.takeOver(claim, beginning);
    this.makeRoom(claim, kept);
    if (!kept) return this.free.splice(0, claim.nSequences);
    if (!this.hasRoom(claim)) return this.takeOver(claim, beginning);
    const sequences = this.free.splice(0, claim.nSequences);
    this.context!.kvCopy(kept.sequence, sequences[0]!, 0, beginning.nTokens);
    this.keeping = [...this.keeping.filter((each) => each !== kept), kept];
    return sequences;
  }

  /** Frees sequences, and the cells that no other sequence shares, except those to keep. */
  giveBack(sequences: readonly number[], kept?: Kept): void {
    if (this.isDisposed) return;
    for (const sequence of sequences) if (sequence !== kept?.sequence) this.context!.kvRemove(sequence);
    this.free.push(...sequences.filter((sequence) => sequence !== kept?.sequence));
    this.free.sort((a, b) => a - b); // models with whole sequences compute consecutive ones together
    if (!kept) return;
    for (const former of this.keeping.filter(({ owner }) => owner === kept.owner)) this.drop(former);
    this.cut(kept.sequence, Infinity, kept.cells.tokens.length);
    this.keeping.push(kept);
  }

  /** Drops all kept cells, except those of one owner. */
  forget(except?: object): void {
    for (const kept of this.keeping) if (kept.owner !== except) this.drop(kept);
  }

  /** While nothing runs, provides a trusted context of at least this size. Throws what creating one throws. */
  async fit({ nCtx, nSeqMax }: ContextNeeds): Promise<void> {
    if (this.isTainted) this.close();
    const { options } = this.context ?? {};
    if (options && options.nCtx >= nCtx && options.nSeqMax >= nSeqMax) return;
    this.close();
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

  private close(): void {
    this.context?.dispose();
    this.context = undefined;
    this.keeping = [];
    this.isTainted = false;
  }

  private takeOver({ nSequences, nCells }: Claim, { kept, nTokens }: Beginning): number[] {
    this.keeping = this.keeping.filter((each) => each !== kept);
    this.makeRoom({ nSequences: nSequences - 1, nCells });
    this.cut(kept.sequence, kept.cells.tokens.length, nTokens);
    return [kept.sequence, ...this.free.splice(0, nSequences - 1)];
  }

  private makeRoom(claim: Claim, spared?: Kept): void {
    for (const kept of this.keeping) if (kept !== spared && !this.hasRoom(claim)) this.drop(kept);
  }

  private hasRoom({ nSequences, nCells }: Claim): boolean {
    const nKept = this.keeping.reduce((sum, { cells }) => sum + cells.tokens.length, 0);
    return nSequences <= this.free.length && nCells + nKept <= this.context!.options.nCtx;
  }

  private drop(kept: Kept): void {
    this.keeping = this.keeping.filter((each) => each !== kept);
    this.giveBack([kept.sequence]);
  }

  private cut(sequence: number, length: number, to: number): void {
    if (to < length && !this.hasWholeSequences) this.context!.kvRemove(sequence, to);
  }
}
