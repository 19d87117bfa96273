import { given, checked } from "../arguments/index.js";
import { formatShape } from "../prompt/index.js";
import { siteArgument } from "../vector/index.js";
import { extract as extractVector, type ExtractionOptions } from "./extract.js";
import { z } from "zod";

const { number } = given;
/** Does not check datasets and texts: `extract` does that itself (E_BAD_DATASET). */
const extracting = given.requiredOf<ExtractionOptions>({
  iclExamples: number.optional(), support: number.optional(), maxNewTokens: number.optional(), seed: number.optional(),
  supportIndices: given.tokens.optional(), site: siteArgument.optional(), promptFormat: given.text.optional(),
  method: given.text.optional(), towards: given.text.optional(), away: given.text.optional(), questions: given.list(given.text).optional(),
  pooling: given.text.optional(), name: given.text.optional(), strength: given.flag.optional(), cache: given.flag.optional(),
  ...formatShape, onCached: given.callback.optional(),
  layers: z.union([given.tokens, number, given.anObject, given.text]).optional(),
  signal: given.signal.optional(), onProgress: given.callback.optional(), nPairs: number.optional(),
  positive: given.anything.optional(), negative: given.anything.optional(), texts: given.anything.optional(),
}).refine((value) => {
  const { method = "icl", layers, texts } = value as { method?: string; layers?: unknown; texts?: unknown };
  return method !== "icl" || texts !== undefined || layers === undefined || Array.isArray(layers);
}, { path: ["layers"], message: "expected a list of whole numbers" });

/** @function */
export const extract = checked("extract", extractVector, { model: given.model, options: extracting });
