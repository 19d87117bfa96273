export * as given from "./schemas.js";
export { checked, checkMethods, making, type Parameters } from "./checked.js";
