import type { Server } from "../lib/server.js";
import { note } from "./common.js";
import { openBrowser } from "./open-browser.js";

/** Opens the server's page, or tells the user to. */
export async function openPage(server: Server, quiet: boolean): Promise<void> {
  if (!await openBrowser(server.url)) note(`No browser was found; open ${server.url} yourself.`, quiet);
}

/** Resolves when the server has closed: the first Ctrl-C or SIGTERM asks it to, the second does not wait for running answers. */
export function untilStopped(server: Server, quiet: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let isAsked = false;
    const stop = (): void => {
      if (!isAsked) note("Closing; running answers may end. Again: cancel them.", quiet);
      server.close({ now: isAsked }).then(resolve, reject);
      isAsked = true;
    };
    process.on("SIGINT", stop).on("SIGTERM", stop);
  });
}
