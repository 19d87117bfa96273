import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { access, mkdir } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { homeFolder, readFileUpTo, writeFileAtomic } from "../formats/index.js";
import { disposedError } from "./abort.js";
import { Batch } from "./batch.js";
import type { Context, ContextNeeds } from "./context.js";
import type { ThreadCount } from "./threads.js";

/** Numbers of rows whose decodes are measured. */
const SIZES = [1, 2, 3, 4, 5, 8];
/** How often each size is measured, in turn; the shortest time counts. */
const ROUNDS = 3;
const MAX_BYTES = 10_000;
const fileSchema = z.strictObject({ key: z.string(), milliseconds: z.array(z.number().positive().finite()).length(SIZES.length) });

/** How long decodes of one, two and more rows take beside each other, in any unit; they tell where it pays to guess tokens. */
export class RowTimes {
  /** `times`: one per entry of `SIZES`. */
  constructor(private readonly times: readonly number[]) {}

  /** The share of right guesses above which guessing saves time (1: it never does), where `atOnce` generations measure n steerings each. */
  leastShare(n: number, atOnce: number): number {
    // docs/architecture.md, "Dyn in a pipeline"
    if (atOnce === 1) return (this.of(n + 2) - this.of(1)) / this.of(n + 1);
    // Where rows are computed four at a time, generations that take different numbers of rows cost each other more than a guess saves.
    if (this.of(5) > this.of(8)) return 1;
    const row = Math.max(0, this.of(8) - this.of(4)) / 4;
    const wasted = atOnce * (n + 1) * row;
    return wasted / (this.of(4) - 4 * row + wasted);
  }

  /** Time of a decode: on the line between the next two measured sizes, or on that of the last two. */
  private of(rows: number): number {
    const next = SIZES.findIndex((size) => size >= rows);
    const to = next < 0 ? SIZES.length - 1 : Math.max(next, 1);
    const [x0, x1, y0, y1] = [SIZES[to - 1]!, SIZES[to]!, this.times[to - 1]!, this.times[to]!];
    return y0 + (y1 - y0) * (rows - x0) / (x1 - x0);
  }
}

/** As measured on several machines, in units of a decode of one row: on processors, and on GPUs, where six rows cost what one does. */
const [ON_PROCESSORS, ON_DEVICES] = [usual(0.27), usual(0.02)];

function usual(row: number): RowTimes {
  return new RowTimes(SIZES.map((size) => 1 - row + row * size));
}

/** What an engine knows of its decodes. */
export interface RowTimesOptions {
  /** What the times depend on, beside the processor. */
  key: () => Promise<unknown>;
  createContext: (needs: ContextNeeds) => Promise<Context>;
  threadCount: ThreadCount;
  isOnDevice: boolean;
}

/**
 * The row times of a model on this machine: measured once and kept in the cache folder, since what shares a batch depends on them, and the
 * last digits of results on that. Where results must not depend on a measurement (a held number of threads), or nothing can be kept,
 * they are the usual ones.
 */
export class MachineRowTimes {
  private measured: RowTimes | undefined;
  private readonly usual: RowTimes;
  private context: Context | undefined;
  private isDisposed = false;

  constructor(private readonly options: RowTimesOptions) {
    this.usual = options.isOnDevice ? ON_DEVICES : ON_PROCESSORS;
  }

  now(): RowTimes {
    return this.options.threadCount.isHeld ? this.usual : this.measured ?? this.usual;
  }

  /** True if `ready` has nothing to do. */
  get isReady(): boolean {
    return this.measured !== undefined || this.options.threadCount.isHeld;
  }

  /** Looks the times up, or measures them: about 90 rows. Never fails. */
  async ready(): Promise<void> {
    if (this.isReady) return;
    this.measured = process.env["LLAMA_STEER_NO_CACHE"] ? this.usual : await this.find().catch(() => this.usual);
  }

  /** Ends a measurement. */
  dispose(): void {
    this.isDisposed = true;
    this.context?.abort();
  }

  private async find(): Promise<RowTimes> {
    const { key: own, threadCount: { most } } = this.options;
    const key = JSON.stringify([SIZES, cpus()[0]?.model, await own(), most]);
    const folder = join(homeFolder(), "row-times");
    const path = join(folder, `${createHash("sha256").update(key).digest("hex").slice(0, 32)}.json`);
    const kept = await readTimes(path, key);
    if (kept) return new RowTimes(kept);
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
    if (this.options.threadCount.now() < most) return this.usual; // other programs compute: the times would be wrong for long
    const milliseconds = await this.measure();
    await writeFileAtomic(path, `${JSON.stringify({ key, milliseconds })}\n`);
    return new RowTimes(milliseconds);
  }

  private async measure(): Promise<number[]> {
    const [rows, times] = [SIZES.at(-1)!, SIZES.map(() => Infinity)];
    this.context = await this.options.createContext({ nCtx: rows, nSeqMax: rows });
    try {
      for (let round = 0; round <= ROUNDS; round++) {
        for (const [i, size] of SIZES.entries()) {
          const time = await timeOf(this.context, size);
          if (this.isDisposed) throw disposedError();
          if (round > 0) times[i] = Math.min(times[i]!, time); // the first round warms up
        }
      }
      return times;
    } finally {
      this.context.dispose();
      this.context = undefined;
    }
  }
}

/** Milliseconds of a decode of this many rows with logits, one per sequence. */
async function timeOf(context: Context, nRows: number): Promise<number> {
  context.kvClear();
  const batch = new Batch();
  for (let row = 0; row < nRows; row++) batch.add(0, 0, row, { output: true });
  const begun = performance.now();
  await context.decode(batch);
  return performance.now() - begun;
}

/** Undefined for a file that is not there or not whole. */
async function readTimes(path: string, key: string): Promise<number[] | undefined> {
  const bytes = await readFileUpTo(path, "E_NOT_FOUND", MAX_BYTES, "row times").catch(() => undefined);
  try {
    const { key: found, milliseconds } = fileSchema.parse(JSON.parse(Buffer.from(bytes ?? []).toString()));
    return found === key ? milliseconds : undefined;
  } catch {
    return undefined;
  }
}
