import { z } from "zod";
import { given } from "../arguments/index.js";
import { fingerprintArgument, siteArgument } from "../vector/index.js";
import { PROBE_READS } from "./probe.js";

/** Schema of what a probe reads. */
export const readsArgument = z.enum(PROBE_READS);

/** Schema of a probe as an argument of public functions. */
export const probeArgument = given.required({
  site: siteArgument, layer: given.whole, bias: given.number, weights: given.float32s,
  provenance: given.required({ property: given.text, positive: given.named, negative: given.named, model: fingerprintArgument }),
});
