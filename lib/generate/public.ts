import { checked, checkMethods } from "../arguments/index.js";
import { oneSteeringArgument, steerArgument } from "../vector/index.js";
import { generatedArgument } from "./arguments.js";
import { GenerationStream, replay as replayed } from "./generation-stream.js";
import { compose as composed } from "./live-steering.js";

/** @function */
export const replay = checked("replay", replayed, { steer: steerArgument, result: generatedArgument });
/** @function */
export const compose = checked("compose", composed, { part: steerArgument }, { isRest: true });

checkMethods("generation", GenerationStream.prototype, { add: { steering: oneSteeringArgument } });
