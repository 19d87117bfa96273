import { HttpError } from "../http/errors.js";
import type { Job as JobState, VectorEntry } from "../schemas/index.js";
import { Job, type Reporting, type Work } from "./job.js";

/** How many jobs are remembered. */
const MOST = 100;
const RETRY_SECONDS = 30;
/** Between two states of a job that are sent. */
const PAUSE_MS = 100;

/** Runs jobs one after the other, beside the answers of the same models. */
export class JobQueue {
  private readonly jobs = new Map<string, Job>();
  private last: Promise<void> = Promise.resolve();

  /** `perform` lends the model and keeps the vector. */
  constructor(
    private readonly maxUnfinished: number,
    private readonly perform: (modelId: string, work: Work, reporting: Reporting) => Promise<VectorEntry>,
    private readonly onFailure: (error: unknown) => void,
  ) {}

  get unfinished(): Job[] {
    return [...this.jobs.values()].filter(({ hasEnded }) => !hasEnded);
  }

  /** Throws 429 if too many wait. */
  add(kind: JobState["kind"], modelId: string, work: Work): JobState {
    if (this.unfinished.length >= this.maxUnfinished) {
      throw new HttpError(429, `${this.maxUnfinished} jobs run or wait; try again later, or cancel one`,
        { code: "too_many_jobs", retryAfter: RETRY_SECONDS });
    }
    const job = new Job(kind, modelId, work);
    this.jobs.set(job.id, job);
    for (const [id, { hasEnded }] of this.jobs) {
      if (this.jobs.size <= MOST) break;
      if (hasEnded) this.jobs.delete(id);
    }
    this.last = this.last.then(() => job.run((own, reporting) => this.perform(modelId, own, reporting), this.onFailure));
    return job.state();
  }

  /** The latest first. */
  list(): JobState[] {
    return [...this.jobs.values()].map((job) => job.state()).reverse();
  }

  /** Throws 404. */
  find(id: string): Job {
    const found = this.jobs.get(id);
    if (found) return found;
    throw new HttpError(404, "no job has this id", { code: "job_not_found" });
  }

  /** The states of a job until it has ended. Throws 404. */
  async *follow(id: string): AsyncGenerator<JobState, void> {
    const job = this.find(id);
    let wake = (): void => undefined;
    let hasChanged = false;
    const forget = job.watch(() => { hasChanged = true; wake(); });
    try {
      yield job.state();
      while (!job.hasEnded || hasChanged) {
        if (!hasChanged) await new Promise<void>((resolve) => { wake = resolve; });
        if (!job.hasEnded) await new Promise((resolve) => { setTimeout(resolve, PAUSE_MS); });
        hasChanged = false;
        yield job.state();
      }
    } finally {
      forget();
    }
  }

  /** Cancels all; resolves when they have ended. */
  async close(): Promise<void> {
    for (const job of this.unfinished) job.cancel();
    await this.last;
  }
}
