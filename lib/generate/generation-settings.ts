import type { Sampling } from "../engine/index.js";
import type { Monitor } from "../probe/index.js";
import type { ChatMemory, History } from "./chat-memory.js";
import type { LiveSteering } from "./live-steering.js";
import type { Pipeline } from "./stepper.js";

/** What a generation is made from, with all defaults filled in. */
export interface GenerationSettings {
  prompt: readonly number[];
  /** May grow. */
  steer: readonly LiveSteering[];
  sampling: Sampling;
  maxNewTokens: number;
  stop: readonly string[];
  logProbabilities: boolean;
  monitor: Monitor | undefined;
  pipeline: Pipeline;
  /** Tokens that the text begins with. */
  firstTokens: readonly number[];
  /** The likeliest tokens to return per stream and step; 0 = none. */
  candidates: number;
  ownHistory: History;
  /** Only for the turn of a chat. */
  memory?: ChatMemory | undefined;
}
