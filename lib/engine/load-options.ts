import { requireInteger, requireNumber, requireOneOf } from "../checks.js";
import { MAX_THREADS } from "./threads.js";

/** Receives what the library would otherwise have to print: it prints nothing. */
export type Logger = (level: "debug" | "info" | "warn", message: string) => void;

const CHOICES = { backend: ["auto", "cpu", "cuda", "vulkan", "metal"], kvType: ["f16", "f32"], steeringPath: ["auto", "graph", "callback"] } as const;
type Choice<Name extends keyof typeof CHOICES> = (typeof CHOICES)[Name][number];

/** Where a model computes and how much room its generations have. */
export interface LoadModelOptions {
  /** Whose devices compute: one of ggml's back ends, or what llama.cpp finds best (default). */
  backend?: Choice<"backend">;
  /** Layers to put on the GPU: a number, or "all" (default; on a machine without a GPU that means none). */
  gpuLayers?: number | "all";
  /** Map the file into memory (default) instead of reading it. */
  mmap?: boolean;
  /**
   * CPU threads, always so many. Default: one per core that the process may use, and fewer while other programs use some of
   * them, since ggml's threads wait for the slowest of them after each operation.
   */
  threads?: number;
  /** Default true. */
  flashAttention?: boolean;
  /** Type of the KV cache: F16 (default), or F32 for comparisons with other implementations. */
  kvType?: Choice<"kvType">;
  /**
   * KV cells that all generations running at once share, at most; default 4096. A generation takes one per token of its
   * prompt and of its answer, the answer once more for each dynamic property and once for the unsteered stream.
   */
  contextSize?: number;
  /**
   * How positions beyond the context that the model was trained for are computed, where the file does not say it; default:
   * as the file says. Answers are as good as the model is at it: Qwen's cards name YaRN with factor 4.
   */
  ropeScaling?: RopeScaling;
  /** Sequences at once, at most; default 16. A generation takes one, with dynamic properties two and one for each. */
  maxSequences?: number;
  /**
   * Generations at once, at most; default: as many as there is room for. With 1 they come one after the other, each to the
   * last bit as it is alone; in a shared batch, ggml rounds otherwise (log probabilities differ by 0.00001).
   */
  maxGenerations?: number;
  /**
   * Try the file in a process of its own before it is loaded here (default), since llama.cpp ends the process on some
   * damaged files; once per file, remembered in the cache folder. `false` for files that are known to be good.
   */
  vet?: boolean;
  /** Told of what happens inside: loading, the making of contexts. What it throws is ignored. Default: nobody. */
  logger?: Logger;
  /** Stops the loading. */
  signal?: AbortSignal;
  /** How vectors are added: `auto` (default), or one path alone, for tests and diagnosis (docs/architecture.md, "Two paths"). */
  steeringPath?: Choice<"steeringPath">;
}

/** A longer context than the model was trained for. */
export interface RopeScaling {
  kind: "yarn" | "linear";
  /** So many times as long, at least 1. */
  factor: number;
  /** Tokens of the context that is scaled; default: that of the file, which may count its own scaling already. */
  originalContext?: number;
}

/** More is a mistake: the longest contexts in use are 128 times those of training. */
const MAX_ROPE_FACTOR = 1024;
/** Tokens that a context holds; more is a mistake, and memory for it nowhere. */
const MAX_CONTEXT = 2 ** 30;
/** Sequences that llama.cpp can tell apart. */
const MAX_SEQUENCES = 256;

function checkRopeScaling({ kind, factor, originalContext = 1 }: RopeScaling): void {
  requireOneOf("ropeScaling.kind", kind, ["yarn", "linear"]);
  requireNumber("ropeScaling.factor", factor, { min: 1, max: MAX_ROPE_FACTOR });
  requireInteger("ropeScaling.originalContext", originalContext, { min: 1, max: MAX_CONTEXT });
}

/** Options before anything is loaded. Throws E_BAD_ARGUMENT. */
export function checkLimits({ ropeScaling, contextSize = 1, maxSequences = 1, maxGenerations = 1, threads = 1, gpuLayers = "all", ...options }: LoadModelOptions): void {
  for (const [name, allowed] of Object.entries(CHOICES)) {
    const chosen = options[name as keyof typeof CHOICES];
    if (chosen !== undefined) requireOneOf(name, chosen, allowed);
  }
  requireInteger("threads", threads, { min: 1, max: MAX_THREADS });
  if (ropeScaling) checkRopeScaling(ropeScaling);
  if (gpuLayers !== "all") requireInteger('gpuLayers, unless "all",', gpuLayers, { min: 0 });
  requireInteger("contextSize", contextSize, { min: 1, max: MAX_CONTEXT });
  requireInteger("maxGenerations", maxGenerations, { min: 1 });
  requireInteger("maxSequences", maxSequences, { min: 1, max: MAX_SEQUENCES });
}
