import { HttpError } from "../http/errors.js";
import type { Answer } from "./answer.js";

/** How many answers are remembered. */
const MOST = 256;

/** Running and recent answers, by id; in memory only. */
export class AnswerLog {
  private readonly answers = new Map<string, Answer>();

  add(answer: Answer): void {
    this.answers.set(answer.id, answer);
    for (const [id, { status }] of this.answers) {
      if (this.answers.size <= MOST) return;
      if (status !== "queued" && status !== "running") this.answers.delete(id);
    }
  }

  /** Throws 404. */
  find(id: string): Answer {
    const found = this.answers.get(id);
    if (found) return found;
    throw new HttpError(404, `the server does not remember an answer with this id; it keeps the last ${MOST}`, { code: "generation_not_found" });
  }

  /** Those that have not ended. */
  get unfinished(): Answer[] {
    return [...this.answers.values()].filter(({ status }) => status === "queued" || status === "running");
  }
}
