import { createHash } from "node:crypto";
import { programVersion, type Engine } from "../engine/index.js";
import type { ExtractionOptions } from "./extract.js";
import { everydayDataset } from "./strength.js";

/** Options that do not change the vector. All others belong to the key, so a new option does by itself. */
const WITHOUT_EFFECT: readonly string[] = ["signal", "onProgress", "cache", "onCached"] satisfies Array<keyof ExtractionOptions>;
/** A chat template that writes the date. */
const WRITES_DATE = "strftime_now";

/** The options that shape the vector, as JSON; undefined for values that JSON cannot represent, which no extraction accepts. */
export function optionsKey(options: ExtractionOptions): string | undefined {
  const shaping = Object.entries(options).filter(([name, value]) => value !== undefined && !WITHOUT_EFFECT.includes(name));
  try {
    return JSON.stringify(shaping.sort(([a], [b]) => (a < b ? -1 : 1)));
  } catch {
    return undefined;
  }
}

/** A hash of everything that an extraction depends on: the options, the model, what computes, the questions that measure the strength. */
export async function extractionKey(model: Engine, options: string): Promise<string> {
  const day = model.info.chatTemplate?.includes(WRITES_DATE) && new Date().toDateString();
  const parts = [options, await model.fingerprint(), model.settings, await programVersion(), await everydayDataset(model), day];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
