import { given, checked } from "../arguments/index.js";
import { writeReport as write, type ReportOptions } from "./index.js";

/** @function */
export const writeReport = checked("writeReport", write, {
  runs: given.list(given.path),
  options: given.requiredOf<ReportOptions>({
    out: given.path, title: given.text.optional(), reference: given.text.optional(), samples: given.number.optional(),
    signal: given.signal.optional(), onProgress: given.callback.optional(),
  }),
});
