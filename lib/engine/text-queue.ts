import { SteeringError } from "../errors.js";

/** Queues calls with lists of texts for a model that takes one call at a time. */
export class TextQueue {
  private last: Promise<unknown> = Promise.resolve();

  /** Runs the work on a copy of the texts after all earlier calls. Rejects with E_BAD_ARGUMENT for an empty text. */
  run<Result>(texts: readonly string[], work: (texts: readonly string[]) => Promise<Result>): Promise<Result> {
    if (!Array.isArray(texts) || !texts.every((text) => typeof text === "string" && text.trim() !== "")) {
      return Promise.reject(new SteeringError("E_BAD_ARGUMENT", "texts must be an array of strings, none of them empty"));
    }
    const own = texts.slice();
    const result = this.last.then(() => work(own));
    this.last = result.catch(() => undefined);
    return result;
  }
}
