import { checked, checkMethods, given } from "../arguments/index.js";
import { oneSteeringArgument, steerArgument } from "../vector/index.js";
import { generatedArgument } from "./arguments.js";
import { GenerationStream, replay as replayed } from "./generation-stream.js";
import { compose as composed } from "./live-steering.js";
import { loadSteering as load } from "./load-steering.js";

/** @function */
export const replay = checked("replay", replayed, { steer: steerArgument, result: generatedArgument });
/** @function */
export const compose = checked("compose", composed, { part: steerArgument }, { isRest: true });
/** @function */
export const loadSteering = checked("loadSteering", load, { spec: given.anything });

checkMethods("generation", GenerationStream.prototype, { add: { steering: oneSteeringArgument } });
