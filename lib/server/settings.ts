import { totalmem } from "node:os";
import { requireInteger, requireNumber } from "../checks.js";
import type { LoadModelOptions, Logger } from "../engine/index.js";

/** How to serve. */
export interface ServeOptions {
  /** Registry names, `hf:` addresses or paths of the models to serve; the first one is the default. */
  models: readonly string[];
  /** Folder of vectors and probes, where new ones are kept, too. Default: none, so that vectors can only be used, not added. */
  vectors?: string;
  /** Default 127.0.0.1. Any host that others can reach needs an API key. */
  host?: string;
  /** Default 8080; 0 takes a free one. */
  port?: number;
  /** Keys of which clients send one as `Authorization: Bearer …`; default: none are needed. */
  apiKeys?: readonly string[];
  /** Names under which clients may ask for the server, besides `host` and the loopback; default: none. */
  allowedHosts?: readonly string[];
  /** Folder with the page, whose HTML, JS, CSS, JSON, SVG, PNG, ICO and WOFF2 files are read at the start; default: the package's own. */
  page?: string;
  /** Answers that a model writes at once; default 16. */
  parallel?: number;
  /** Requests that wait for a model, beyond which there is a 429; default 64. */
  maxQueue?: number;
  /** Largest total size of the loaded models' files in bytes; default: three quarters of the machine's memory. */
  memory?: number;
  /** Seconds that an answer may take; default 600. */
  timeout?: number;
  /** Seconds that running answers have to end when the server closes; default 30. */
  grace?: number;
  /** How models are loaded; `maxSequences` is that of `parallel`, unless given. */
  load?: LoadModelOptions;
  /** Receives one line per request, without its content. Default: none. */
  logger?: Logger;
}

/** The options with their defaults. */
export type Settings = Required<Omit<ServeOptions, "vectors" | "page" | "logger">> & Pick<ServeOptions, "vectors" | "page" | "logger">;

/** Bytes of a request's body, and of an uploaded vector. */
export const MAX_BODY_BYTES = 2 ** 22;
export const MAX_UPLOAD_BYTES = 2 ** 28;
/** Jobs that run or wait. */
export const MAX_JOBS = 8;

const MAX_PARALLEL = 256;
const SHARE_OF_MEMORY = 0.75;

/** Fills in the defaults. Throws E_BAD_ARGUMENT. */
export function settingsOf(options: ServeOptions): Settings {
  const {
    host = "127.0.0.1", port = 8080, apiKeys = [], allowedHosts = [], parallel = 16, maxQueue = 64, timeout = 600, grace = 30,
    memory = totalmem() * SHARE_OF_MEMORY, load = {}, ...rest
  } = options;
  requireInteger("port", port, { min: 0, max: 65_535 });
  requireInteger("parallel", parallel, { min: 1, max: MAX_PARALLEL });
  requireInteger("maxQueue", maxQueue, { min: 0 });
  requireNumber("timeout", timeout, { above: 0, max: 86_400 });
  requireNumber("grace", grace, { min: 0, max: 86_400 });
  requireNumber("memory", memory, { above: 0 });
  return {
    ...rest, host, port, apiKeys, allowedHosts, parallel, maxQueue, timeout, grace, memory, load: { maxSequences: parallel, ...load },
  };
}
