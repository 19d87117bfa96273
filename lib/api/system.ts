/** What computes here, and files that are written whole or not at all. */
export { devices, findInstallation, systemInfo as info } from "../native/index.js";
export { assertWritable, writeFileAtomic as writeText } from "../io/atomic.js";
