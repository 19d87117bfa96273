export * as given from "./arguments.js";
export { guarded, guardMethods, making, type Parameters } from "./guard.js";
