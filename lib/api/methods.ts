// The methods of the public classes, guarded where they stand.
import { Guard } from "../evaluate/guard.js";
import { GenerationStream } from "../generate/index.js";
import { Chat, Model } from "../model/index.js";
import { Classifier } from "../engine/classifier.js";
import { SteeringVector } from "../vector/steering-vector.js";
import * as given from "./arguments.js";
import { guardMethods } from "./guard.js";

guardMethods("model", Model.prototype, {
  generate: { prompt: given.prompt, options: given.generation },
  chat: { options: given.chat },
  capture: { prompts: given.list(given.prompt), options: given.capturing },
  score: { prompt: given.prompt, continuation: given.prompt, options: given.scoring },
  tokenise: { text: given.text, options: given.options({ special: given.flag, bos: given.flag }) },
  detokenise: { tokens: given.tokens },
  isEndOfGeneration: { token: given.whole },
  hasSite: { site: given.text },
  siteLayers: { site: given.text, options: given.options({ everyRow: given.flag }) },
  siteWidth: { site: given.text },
});
guardMethods("chat", Chat.prototype, { say: { content: given.text, options: given.turn }, reply: { options: given.turn } });
guardMethods("generation", GenerationStream.prototype, { add: { steering: given.oneSteering } });
guardMethods("classifier", Classifier.prototype, { classify: { texts: given.list(given.text), options: given.options({ signal: given.signal }) } }, { rejects: true });
guardMethods("guard", Guard.prototype, { judge: { answers: given.judged, options: given.options({ signal: given.signal }) } }, { rejects: true });
guardMethods("Guard", Guard, { of: { model: given.model, forms: given.guardForms } });
guardMethods("SteeringVector", SteeringVector, { load: { path: given.path }, sum: { parts: given.list(given.required({ vector: given.vector, factor: given.number })) }, mean: { vectors: given.list(given.vector) } });
guardMethods("vector", SteeringVector.prototype, {
  save: { path: given.path }, add: { other: given.vector }, subtract: { other: given.vector }, scale: { factor: given.number }, projectOut: { other: given.vector },
  select: { selection: given.required({ layers: given.indices.optional(), heads: given.indices.optional() }) }, with: { schedule: given.anything, selection: given.select }, cosine: { other: given.vector },
});
