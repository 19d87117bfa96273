import { given } from "../arguments/index.js";
import { fingerprintArgument, siteArgument } from "../vector/index.js";

/** Schema of a probe as an argument of public functions. */
export const probeArgument = given.required({
  site: siteArgument, layer: given.whole, bias: given.number, weights: given.float32s,
  provenance: given.required({ property: given.text, positive: given.named, negative: given.named, model: fingerprintArgument }),
});
