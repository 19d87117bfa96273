/** The server: steered answers over HTTP. */
import { checked, checkMethods, given } from "../arguments/index.js";
import { loadingArgument } from "../engine/index.js";
import { serve as start, Server } from "./serve.js";
import type { ServeOptions } from "./settings.js";

const { number, text } = given;

/** @function */
export const serve = checked("serve", start, {
  options: given.requiredOf<ServeOptions>({
    models: given.list(given.path, 1), vectors: given.path.optional(), host: text.optional(), port: number.optional(),
    apiKeys: given.list(text).optional(), allowedHosts: given.list(text).optional(), page: given.path.optional(),
    parallel: number.optional(), maxQueue: number.optional(), memory: number.optional(), timeout: number.optional(),
    grace: number.optional(), load: loadingArgument, logger: given.callback.optional(),
  }),
});

checkMethods("server", Server.prototype, {
  close: { options: given.optionsOf<{ now?: boolean }>({ now: given.flag }) },
}, { rejects: true });
