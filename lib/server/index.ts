export { Server, serve } from "./serve.js";
export { isLoopback } from "./http/guard.js";
export type { ServeOptions } from "./settings.js";
export type * from "./schemas/index.js";
