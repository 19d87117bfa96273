import { randomUUID } from "node:crypto";
import type { Model } from "../../model/index.js";
import type { SteeringVector } from "../../vector/index.js";
import { httpErrorOf } from "../http/errors.js";
import type { Job as JobState, VectorEntry } from "../schemas/index.js";

/** What a job reports while it runs. */
export interface Reporting {
  signal: AbortSignal;
  onProgress: (stage: string, done: number, total: number) => void;
}

/** The work of a job: a vector out of a model. */
export type Work = (model: Model, reporting: Reporting) => Promise<SteeringVector>;

/** Background work, and who follows it. */
export class Job {
  readonly id = `job-${randomUUID()}`;
  private readonly stop = new AbortController();
  private readonly watchers = new Set<() => void>();
  private readonly created = now();
  private started: number | null = null;
  private endedAt: number | null = null;
  private status: JobState["status"] = "queued";
  private progress: JobState["progress"] = null;
  private vector: VectorEntry | null = null;
  private error: JobState["error"] = null;

  constructor(private readonly kind: JobState["kind"], readonly modelId: string, readonly work: Work) {}

  get hasEnded(): boolean {
    return this.endedAt !== null;
  }

  state(): JobState {
    const { id, kind, modelId: model, status, progress, created, started, endedAt: ended, vector, error } = this;
    return { id, object: "job", kind, model, status, progress, created, started, ended, vector, error };
  }

  /** Does the work with `perform`, unless it was cancelled before. */
  async run(perform: (work: Work, reporting: Reporting) => Promise<VectorEntry>, onFailure: (error: unknown) => void): Promise<void> {
    if (this.hasEnded) return;
    this.started = now();
    this.change("running");
    try {
      const onProgress: Reporting["onProgress"] = (stage, done, total) => {
        this.progress = { stage, done, total };
        this.tell();
      };
      this.vector = await perform(this.work, { signal: this.stop.signal, onProgress });
      this.end("succeeded");
    } catch (error) {
      if (this.stop.signal.aborted) return this.end("cancelled");
      const { code, message, status, cause } = httpErrorOf(error);
      if (status >= 500) onFailure(cause ?? error);
      this.error = { code: code ?? "internal_error", message };
      this.end("failed");
    }
  }

  /** Ends it early; nothing is kept. */
  cancel(): void {
    this.stop.abort();
    if (this.status === "queued") this.end("cancelled");
  }

  /** Calls back whenever the state changes; returns what ends that. */
  watch(onChange: () => void): () => void {
    this.watchers.add(onChange);
    return () => { this.watchers.delete(onChange); };
  }

  private end(status: JobState["status"]): void {
    this.endedAt = now();
    this.change(status);
  }

  private change(status: JobState["status"]): void {
    this.status = status;
    this.tell();
  }

  private tell(): void {
    for (const watcher of this.watchers) watcher();
  }
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
