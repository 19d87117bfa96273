import { z } from "zod";
import { captureArgument } from "../capture/index.js";
import { loadingArgument } from "../engine/index.js";
import { generationArgument, generationShape, scoringArgument } from "../generate/index.js";
import { given, checked, checkMethods } from "../arguments/index.js";
import { variablesArgument } from "../prompt/index.js";
import { Chat, type ChatOptions, type TurnOptions } from "./chat.js";
import { fromLlama as optionsOf, loadModel as openModel, Model } from "./model.js";

/** @function */
export const loadModel = checked("loadModel", openModel, { nameOrPath: given.path, options: loadingArgument });
/** @function */
export const fromLlama = checked("fromLlama", optionsOf, {
  llama: given.required({ gpu: z.union([given.text, z.literal(false)], "expected a back end, or false"), maxThreads: given.number }),
});

const turn = { ...generationShape, templateVariables: variablesArgument, keepThoughts: given.flag, keepPartial: given.flag };
checkMethods("model", Model.prototype, {
  generate: { prompt: given.prompt, options: generationArgument },
  chat: { options: given.optionsOf<ChatOptions>({ ...turn, messages: given.messages, history: given.text }) },
  capture: { prompts: given.list(given.prompt), options: captureArgument },
  score: { prompt: given.prompt, continuation: given.prompt, options: scoringArgument },
  tokenise: { text: given.text, options: given.optionsOf<{ special?: boolean; bos?: boolean }>({ special: given.flag, bos: given.flag }) },
  detokenise: { tokens: given.tokens },
  isEndOfGeneration: { token: given.whole },
  hasSite: { site: given.text },
  siteLayers: { site: given.text, options: given.optionsOf<{ everyRow?: boolean }>({ everyRow: given.flag }) },
  siteWidth: { site: given.text },
});
checkMethods("chat", Chat.prototype, {
  say: { content: given.text, options: given.optionsOf<TurnOptions>(turn) },
  reply: { options: given.optionsOf<TurnOptions>(turn) },
  retry: { options: given.optionsOf<TurnOptions>(turn) },
  setSystem: { text: given.text.optional() },
});
