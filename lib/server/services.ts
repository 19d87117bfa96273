import type { AnswerLog } from "./answers/log.js";
import type { Metrics } from "./http/metrics.js";
import type { JobQueue } from "./jobs/queue.js";
import type { ModelPool } from "./pool/pool.js";
import type { Settings } from "./settings.js";
import type { Shelf } from "./vectors/shelf.js";

/** What routes work with. */
export interface Services {
  settings: Settings;
  pool: ModelPool;
  shelf: Shelf;
  answers: AnswerLog;
  jobs: JobQueue;
  metrics: Metrics;
  /** Writes a failure of our own to the log. */
  onFailure: (error: unknown) => void;
  /** True once no new work is taken. */
  isClosing: boolean;
}
