import { requireInteger, requireNumber, requireOneOf } from "../checks.js";
import { SteeringError } from "../errors.js";
import { MAX_THREADS } from "./threads.js";

/** Receives the library's log messages; the library itself prints nothing. */
export type Logger = (level: "debug" | "info" | "warn", message: string) => void;

const CHOICES = {
  backend: ["auto", "cpu", "cuda", "vulkan", "metal"], kvType: ["f16", "f32"], steeringPath: ["auto", "graph", "callback"],
} as const;
type Choice<Name extends keyof typeof CHOICES> = (typeof CHOICES)[Name][number];

/** Where a model computes, and how much room its generations have. */
export interface LoadModelOptions {
  /** The ggml back end whose devices compute; default `auto`: llama.cpp chooses. */
  backend?: Choice<"backend">;
  /**
   * Servers that lend their devices (`llama-steer rpc-server`), each as `host:port`: they compute before this machine's GPUs do, and layers
   * are spread over all of them by their memory. Default: those of the environment variable LLAMA_STEER_RPC, joined by commas.
   */
  rpc?: readonly string[];
  /** Number of layers to put on the GPU, or "all" (default; on a machine without a GPU, none). */
  gpuLayers?: number | "all";
  /** Map the file into memory instead of reading it; default true. */
  mmap?: boolean;
  /**
   * A fixed number of CPU threads. Default: one per core that the process may use, and fewer while other programs use some of the cores,
   * since ggml's threads wait for the slowest of them after each operation.
   */
  threads?: number;
  /** Default true. */
  flashAttention?: boolean;
  /** Type of the KV cache: F16 (default), or F32 for comparisons with other implementations. */
  kvType?: Choice<"kvType">;
  /**
   * Maximum KV cells shared by all running generations; default 4096. A generation takes one cell per token of its prompt and its answer;
   * with dynamic properties, the answer counts once more for each of them and once for the unsteered stream.
   */
  contextSize?: number;
  /**
   * How to compute positions beyond the trained context, if the file does not specify it; default: as the file specifies. The quality of
   * the answers depends on the model: Qwen's model cards recommend YaRN with factor 4.
   */
  ropeScaling?: RopeScaling;
  /**
   * Maximum sequences at once; default 16. A generation takes one or, with dynamic properties, two plus one for each of them. Budgets take
   * one more, and one for each of them.
   */
  maxSequences?: number;
  /**
   * Maximum generations at once; default: as many as fit. With 1 they run one after the other, and each is bit-identical to running it
   * alone; in a shared batch ggml rounds differently (log probabilities differ by 0.00001). Likewise the turns of a chat, whatever is kept
   * of earlier ones.
   */
  maxGenerations?: number;
  /**
   * Test the file in a separate process before loading it, since llama.cpp crashes on some damaged files; default true. Each file is
   * tested once, and the result is kept in the cache folder. Pass `false` for files that are known to be good.
   */
  vet?: boolean;
  /** Receives log messages about loading and creating contexts. Its exceptions are ignored. Default: none. */
  logger?: Logger;
  /** Aborts the loading. */
  signal?: AbortSignal;
  /** How to add vectors; default `auto`. The other values force one path, for tests and diagnosis (docs/architecture.md, "Two paths"). */
  steeringPath?: Choice<"steeringPath">;
}

/** How to extend the context beyond the one that the model was trained for. */
export interface RopeScaling {
  kind: "yarn" | "linear";
  /** How many times longer the context becomes; at least 1. */
  factor: number;
  /** Tokens of the context to scale; default: the file's context, which may already include the file's own scaling. */
  originalContext?: number;
}

/** A larger factor is a mistake: the longest contexts in use are 128 times the trained ones. */
const MAX_ROPE_FACTOR = 1024;
/** Maximum tokens of a context; more is a mistake that no machine has memory for. */
const MAX_CONTEXT = 2 ** 30;
/** llama.cpp's own limit. */
const MAX_SEQUENCES = 256;

function checkRopeScaling({ kind, factor, originalContext = 1 }: RopeScaling): void {
  requireOneOf("ropeScaling.kind", kind, ["yarn", "linear"]);
  requireNumber("ropeScaling.factor", factor, { min: 1, max: MAX_ROPE_FACTOR });
  requireInteger("ropeScaling.originalContext", originalContext, { min: 1, max: MAX_CONTEXT });
}

/** The options with the RPC servers of the environment, if they name none; an empty list means none. */
export function withServers({ rpc = parseServers(process.env["LLAMA_STEER_RPC"] ?? ""), ...options }: LoadModelOptions): LoadModelOptions {
  if (options.gpuLayers === 0 || (Array.isArray(rpc) && rpc.length === 0)) return options;
  return { ...options, rpc: Array.isArray(rpc) ? rpc.map(withAddress) : rpc };
}

/** Reads a list of servers, joined by commas; none in an empty text. */
export function parseServers(text: string): string[] {
  return text.split(",").map((server) => server.trim()).filter((server) => server !== "");
}

/** A server under two names would count as two, of which the second waits for the first. */
function withAddress(server: unknown): string {
  return typeof server === "string" ? server.replace(/^localhost:/, "127.0.0.1:") : server as string;
}

function checkServers(servers: readonly string[]): void {
  if (!Array.isArray(servers)) throw new SteeringError("E_BAD_ARGUMENT", "rpc must be a list of servers, each as host:port");
  for (const server of servers) {
    if (servers.filter((each) => each === server).length > 1) throw new SteeringError("E_BAD_ARGUMENT", `rpc names ${server} twice`);
    const port = typeof server === "string" ? Number(/^[^\s:,]+:(\d{1,5})$/.exec(server)?.[1]) : NaN;
    if (port >= 1 && port <= 65_535) continue;
    throw new SteeringError("E_BAD_ARGUMENT", `rpc: ${JSON.stringify(server)} is not an RPC server; write host:port, e.g. 192.168.1.5:50052`);
  }
}

/** Checks the options before anything is loaded. Throws E_BAD_ARGUMENT. */
export function checkLimits({
  ropeScaling, contextSize = 1, maxSequences = 1, maxGenerations = 1, threads = 1, gpuLayers = "all", rpc = [], ...options
}: LoadModelOptions): void {
  for (const [name, allowed] of Object.entries(CHOICES)) {
    const chosen = options[name as keyof typeof CHOICES];
    if (chosen !== undefined) requireOneOf(name, chosen, allowed);
  }
  requireInteger("threads", threads, { min: 1, max: MAX_THREADS });
  checkServers(rpc);
  if (ropeScaling) checkRopeScaling(ropeScaling);
  if (gpuLayers !== "all") requireInteger('gpuLayers, unless "all",', gpuLayers, { min: 0 });
  requireInteger("contextSize", contextSize, { min: 1, max: MAX_CONTEXT });
  requireInteger("maxGenerations", maxGenerations, { min: 1 });
  requireInteger("maxSequences", maxSequences, { min: 1, max: MAX_SEQUENCES });
}

/** Logs a message. */
export function tell(logger: Logger | undefined, level: Parameters<Logger>[0], message: string): void {
  try {
    logger?.(level, message);
  } catch {
    // A failing logger must not stop the work.
  }
}
