/** What computes here, and files that are written whole or not at all. */
import { assertWritable as checkWritable, writeFileAtomic } from "../formats/atomic.js";
import * as given from "./arguments.js";
import { guarded } from "./guard.js";
export { devices, findInstallation, systemInfo as info } from "../native/index.js";

/** @function */
export const assertWritable = guarded("system.assertWritable", checkWritable, { path: given.path, inputs: given.list(given.path).optional() });
/** @function */
export const writeText = guarded("system.writeText", writeFileAtomic, { path: given.path, data: given.textOrBytes });
