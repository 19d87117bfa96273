import { given, checked } from "../arguments/index.js";
import { formatShape } from "../prompt/index.js";
import { siteArgument } from "../vector/index.js";
import { extract as extractVector } from "./extract.js";
import { z } from "zod";

const { number } = given;
/** Leaves out the datasets, which `extract` checks itself (E_BAD_DATASET). */
const extracting = given.required({
  iclExamples: number.optional(), support: number.optional(), maxNewTokens: number.optional(), seed: number.optional(),
  supportIndices: given.tokens.optional(), site: siteArgument.optional(), promptFormat: given.text.optional(),
  method: given.text.optional(), ...formatShape,
  layers: z.union([given.tokens, number, given.anObject, given.text]).optional(),
  signal: given.signal.optional(), onProgress: given.callback.optional(),
}).refine((value) => {
  const { method = "icl", layers } = value as { method?: string; layers?: unknown };
  return method !== "icl" || layers === undefined || Array.isArray(layers);
}, { path: ["layers"], message: "expected a list of whole numbers" });

/** @function */
export const extract = checked("extract", extractVector, { model: given.model, options: extracting });
