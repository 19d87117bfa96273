import { tryAll } from "./try.mjs";

process.parentPort.postMessage(await tryAll());
