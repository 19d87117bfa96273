import { open, rm, truncate, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { SteeringError } from "../errors.js";
import { cannotWrite, writeFileAtomic } from "../io/atomic.js";
import { lockFile, type Lock } from "../io/lock.js";
import { evaluationHeader, evaluationPath, readEvaluation, type EvaluationHeader, type EvaluationRow } from "./evaluations.js";
import { differences } from "./run-file.js";
import type { RunResults } from "./store.js";

/** One evaluator's file in a run's folder, while one process writes it: a line per answer, in the order of the results. */
export class EvaluationStore implements AsyncDisposable {
  private constructor(private readonly path: string, private readonly lock: Lock, private readonly file: FileHandle, private done: number) {}

  /**
   * Begin an evaluation of a run's answers, or go on with it.
   *
   * @param again throw away what was found otherwise (another model, another wanted value)
   * @throws SteeringError E_BUSY, E_BAD_RUN (it was evaluated otherwise), E_WRITE
   */
  static async open(folder: string, results: RunResults, fields: Omit<EvaluationHeader, "format" | "formatVersion" | "run">, again = false): Promise<EvaluationStore> {
    const path = evaluationPath(folder, fields.evaluator);
    const header = evaluationHeader(results.run, fields);
    const lock = await lockFile(join(folder, `eval-${fields.evaluator}`), "evaluates this run");
    try {
      if (again) await rm(path, { force: true });
      const there = await readEvaluation(path, results.run, results.records);
      if (there) checkSame(there.header, header, path);
      else await writeFileAtomic(path, `${JSON.stringify(header)}\n`);
      if (there) await truncate(path, there.wholeBytes);
      return new EvaluationStore(path, lock, await open(path, "a"), there?.rows.length ?? 0);
    } catch (error) {
      await lock.release();
      if (error instanceof SteeringError) throw error;
      throw cannotWrite(path, error as NodeJS.ErrnoException);
    }
  }

  /** Answers that were evaluated. */
  get length(): number {
    return this.done;
  }

  /** Add what was found of the next answers; it is on disk when this returns. */
  async append(rows: readonly EvaluationRow[]): Promise<void> {
    await this.lock.assertHeld();
    try {
      await this.file.appendFile(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
      await this.file.datasync();
    } catch (error) {
      throw cannotWrite(this.path, error as NodeJS.ErrnoException);
    }
    this.done += rows.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
    await this.lock.release();
  }
}

function checkSame(there: EvaluationHeader, here: EvaluationHeader, path: string): void {
  const differing = differences(there, here);
  if (differing.length > 0) throw new SteeringError("E_BAD_RUN", `${path} was evaluated otherwise: ${differing.join("; ")}. --again replaces it`);
}
