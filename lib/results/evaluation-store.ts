import { open, truncate, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { SteeringError } from "../errors.js";
import { cannotWrite, encodeLine, flushContent, writeFileAtomic, lockFile, type Lock } from "../formats/index.js";
import { evaluationHeader, evaluationPath, evaluationRow, readEvaluation } from "./evaluations.js";
import type { ResultRecord } from "./records.js";
import { differences } from "./run-file.js";
import { readAnswers } from "./store.js";

/** One evaluator's file in a run's folder while a process writes it: one line per answer, in the order of the results. */
export class EvaluationStore implements AsyncDisposable {
  private constructor(
    private readonly path: string,
    private readonly lock: Lock,
    private readonly file: FileHandle,
    /** The run's answers at the time of opening. */
    readonly records: readonly ResultRecord[],
    private done: number,
  ) {}

  /**
   * Start or resume an evaluation of a run's answers.
   *
   * @param again discard existing results that are unreadable or came from other settings (another model, another wanted value)
   * @throws SteeringError E_BUSY, E_BAD_RUN (existing results came from other settings), E_BAD_ARGUMENT, E_NOT_FOUND, E_WRITE
   */
  static async open(folder: string, fields: Parameters<typeof evaluationHeader>[1], again = false): Promise<EvaluationStore> {
    const header = evaluationHeader((await readAnswers(folder)).run, fields);
    const path = evaluationPath(folder, fields.evaluator);
    const lock = await lockFile(join(folder, `eval-${fields.evaluator}`), "is evaluating this run");
    try {
      const { run, records } = await readAnswers(folder); // again, now that no other process can be evaluating them
      const there = await readEvaluation(path, run, records).catch((error: unknown) => {
        if (!again || (error as SteeringError).code !== "E_BAD_RUN") throw error; // never replace a pipe, say
        return undefined;
      });
      const differing = there ? differences(there.header, header) : [];
      if (differing.length > 0 && !again) {
        throw new SteeringError("E_BAD_RUN",
          `${path} was evaluated with other settings: ${differing.join("; ")}. Use --again to replace it`);
      }
      const kept = differing.length === 0 ? there : undefined;
      if (kept) await truncate(path, kept.wholeBytes);
      else await writeFileAtomic(path, `${JSON.stringify(header)}\n`);
      return new EvaluationStore(path, lock, await open(path, "a"), records, kept?.rows.length ?? 0);
    } catch (error) {
      await lock.release();
      if (error instanceof SteeringError) throw error;
      throw cannotWrite(path, error as NodeJS.ErrnoException);
    }
  }

  /** Number of answers evaluated so far. */
  get length(): number {
    return this.done;
  }

  /**
   * Append the columns of the next answers, one entry per answer. They are on disk when this returns.
   *
   * @throws SteeringError E_BAD_ARGUMENT, E_BUSY, E_WRITE
   */
  async append(columns: ReadonlyArray<Record<string, unknown>>): Promise<void> {
    const rows = columns.map((each, index) => evaluationRow(this.records[this.done + index]!, each));
    const lines = rows.map((row) => encodeLine(row, `the evaluation of prompt ${row.prompt} in "${row.setting}"`));
    await this.lock.assertHeld();
    try {
      await this.file.appendFile(lines.join(""));
      await flushContent(this.file);
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
