/**
 * The API to serve steered answers: `import { serve } from "llama-steer/server"`.
 *
 * @module llama-steer/server
 */
export { serve } from "./server/public.js";
export { Server, type ServeOptions } from "./server/index.js";
