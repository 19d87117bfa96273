import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { SteeringError } from "../errors.js";
import { resolveModel } from "../io/pull.js";
import { addon, call, callAsync, findInstallation, type CaptureHandle, type NativeContextOptions, type NativeModel, type NativeModelInfo, type NativeSpecialTokens, type SamplerHandle, type VectorHandle } from "../native/index.js";
import { select, type HookSite, type ModelFingerprint, type Selection, type VectorData } from "../steering/index.js";
import { int32s } from "./batch.js";
import { throwIfAborted } from "./abort.js";
import { Context } from "./context.js";
import { fileFingerprint } from "./fingerprint.js";
import type { ModelInfo } from "./model-info.js";
import { quantisationName } from "./quantisation.js";
import { toNativeSampler, type Sampling } from "./sampling.js";
import { Scheduler } from "./scheduler.js";
import { vetModel } from "./vet.js";

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
  /** CPU threads; default: one per core that the process may use. */
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

/** What a piece of work needs of a context. */
export interface ContextNeeds {
  /** KV cells in all. */
  nCtx: number;
  nSeqMax: number;
}

/** Most rows of one decode; longer prompts are fed in pieces. */
const N_BATCH = 512;
/** Contexts grow in steps of this many cells, so that a slightly longer prompt need not make a new one. */
const N_CTX_STEP = 512;
const DEFAULT_CONTEXT_SIZE = 4096;
const DEFAULT_MAX_SEQUENCES = 16;
/** As ggml takes them. */
const MAX_THREADS = 512;
/** Sequences that llama.cpp can tell apart. */
const MAX_SEQUENCES = 256;
/** Selections of one vector that are kept on the native side. */
const MAX_SELECTIONS = 8;
/** Some of llama.cpp's tokenisers recurse once per letter of a word: 100,000 end the process, 20,000 do not. */
const LONGEST_WORD = 16_384;

/** What a model is made of. */
export type LoadedModel = ConstructorParameters<typeof Model>;

/** Load a GGUF, for `new Model(...)` or a class that extends it. Throws what `loadModel` throws. */
export async function openModel(nameOrPath: string, options: LoadModelOptions = {}): Promise<LoadedModel> {
  const path = resolve(await resolveModel(nameOrPath)); // it is read again later, from wherever the process is then
  checkLimits(options);
  const { gpuLayers = "all", mmap = true, vet = true, backend = "auto", signal } = options;
  const begun = performance.now();
  if (vet) await vetModel(path, signal);
  const vetted = performance.now();
  const nGpuLayers = gpuLayers === "all" ? -1 : gpuLayers;
  const native = await callAsync(async () => addon().loadModel(path, { nGpuLayers, useMmap: mmap, ...(backend !== "auto" && { backend }) }));
  const info = native.info();
  tell(options.logger, "info", `${path}: ${info.description}, loaded in ${seconds(vetted)}${vet ? `, after a check of ${seconds(begun, vetted)}` : ""}`);
  if (info.isCausal && !signal?.aborted) return [native, info, path, options];
  native.dispose();
  throwIfAborted(signal);
  throw new SteeringError("E_BAD_GGUF", `${path} is not a causal language model${whatItIs(info)}`);
}

/** Version of llama.cpp that computes. */
export function engineVersion(): string {
  return findInstallation().built.llamaCpp;
}

/**
 * A loaded GGUF. Owns its contexts; free it with `dispose()`, `using` or `await using`.
 *
 * @hideconstructor
 */
export class Model implements Disposable, AsyncDisposable {
  readonly info: Readonly<ModelInfo>;
  /** CPU threads that it computes with. */
  readonly threads: number;
  /** Layers on the GPU, as asked for. */
  readonly gpuLayers: number | "all";
  /** How vectors are added, as asked for. */
  readonly steeringPath: NonNullable<LoadModelOptions["steeringPath"]>;
  /** Runs this model's generations. @internal */
  readonly scheduler: Scheduler;
  private readonly handles = new WeakMap<VectorData, Map<string, VectorHandle>>();
  private fingerprintOnce: Promise<ModelFingerprint> | undefined;
  private specialTokensOnce: NativeSpecialTokens | undefined;

  constructor(private readonly native: NativeModel, { isCausal: _isCausal, isEncoderDecoder: _isEncoderDecoder, labels: _labels, ...info }: NativeModelInfo, path: string, private readonly options: LoadModelOptions) {
    this.info = { ...info, path, quantisation: quantisationName(info.fileType) };
    this.threads = options.threads ?? defaultThreads();
    this.gpuLayers = options.gpuLayers ?? "all";
    this.steeringPath = options.steeringPath ?? "auto";
    const { contextSize: maxCells = DEFAULT_CONTEXT_SIZE, maxSequences = DEFAULT_MAX_SEQUENCES, maxGenerations: maxTasks = Infinity } = options;
    this.scheduler = new Scheduler((needs) => this.createContext(needs), { maxCells, maxSequences, maxTasks });
  }

  /**
   * Tokens of a text. E_BAD_ARGUMENT for a word of more than 16,384 characters.
   * `special`: read `<|…|>` marks as special tokens. `bos`: begin with BOS where the model wants one; `false` for a text that
   * continues another. No EOS is added, whatever the file says: it would end what the model is to continue.
   */
  tokenise(text: string, { special = false, bos = true } = {}): number[] {
    checkWords(text);
    return Array.from(call(() => this.native.tokenise(text, bos, special)));
  }

  /** Tokens that are found in a text as a whole, and the texts of BOS and EOS. @internal */
  specialTokens(): NativeSpecialTokens {
    this.specialTokensOnce ??= call(() => this.native.specialTokens());
    return this.specialTokensOnce;
  }

  /** UTF-8 bytes of the tokens; may end inside a character. Throws E_BAD_TOKEN. */
  detokenise(tokens: readonly number[]): Uint8Array {
    return call(() => this.native.detokenise(int32s(tokens, "tokens")));
  }

  /** True for tokens that end an answer: end of text, end of turn. Throws E_BAD_TOKEN. */
  isEndOfGeneration(token: number): boolean {
    return call(() => this.native.isEndOfGeneration(token));
  }

  /** What a steering vector is bound to. */
  fingerprint(): Promise<ModelFingerprint> {
    this.fingerprintOnce ??= fileFingerprint(this.info).catch((error: unknown) => {
      this.fingerprintOnce = undefined; // a file that cannot be read now may be later
      throw error;
    });
    return this.fingerprintOnce;
  }

  /** True where activations can be read and changed at this site in every layer. */
  hasSite(site: HookSite): boolean {
    return call(() => this.native.hasSite(site));
  }

  /** The vector, or parts of it, on the native side; copied once. Throws E_SHAPE, E_NOT_FINITE, E_NO_SITE. @internal */
  vectorHandle(whole: VectorData, selection: Selection = {}): VectorHandle {
    const { site, layers, nSteps, width, data } = select(whole, selection, this.info.nHead);
    const ofVector = this.handles.get(whole) ?? new Map<string, VectorHandle>();
    const key = JSON.stringify([selection.layers ?? "all", selection.heads ?? "all"]);
    const known = ofVector.get(key);
    if (known && addon().vectorIsMadeOf(known, data)) return known; // its values could have been written to since
    const handle = call(() => this.native.createVector({ site, layers: int32s(layers, "layers"), nSteps, width, data }));
    if (ofVector.size >= MAX_SELECTIONS) ofVector.delete(ofVector.keys().next().value!);
    this.handles.set(whole, ofVector.set(key, handle));
    return handle;
  }

  /** Empty sums `[layers, nSteps, width]` of activations. Throws E_SHAPE, E_NO_SITE. @internal */
  createCapture(site: HookSite, layers: readonly number[], nSteps: number): CaptureHandle {
    return call(() => this.native.createCapture({ site, layers: int32s(layers, "layers"), nSteps }));
  }

  /** Weighted sums `[layers, nSteps, width]` so far and their weights `[nSteps]`; the capture starts again from nothing. @internal */
  takeCapture(capture: CaptureHandle): { sums: Float64Array; weights: Float64Array } {
    return call(() => addon().takeCapture(capture));
  }

  /** The state of one generation's sampling, which has seen the prompt; null: the likeliest token. Throws E_BAD_ARGUMENT, E_BAD_TOKEN. @internal */
  createSampler(sampling: Sampling, prompt: readonly number[]): SamplerHandle | null {
    const options = toNativeSampler(sampling, prompt, this.info.nCtxTrain);
    return options === null ? null : call(() => this.native.createSampler(options));
  }

  /** A context of its own, beside the one that generations share. Throws E_DISPOSED, E_LLAMA. @internal */
  async createContext(needs: ContextNeeds): Promise<Context> {
    const options: NativeContextOptions = {
      nCtx: Math.ceil(needs.nCtx / N_CTX_STEP) * N_CTX_STEP,
      nBatch: N_BATCH,
      nSeqMax: needs.nSeqMax,
      nOutputsMax: Math.max(needs.nSeqMax, 8),
      nThreads: this.threads,
      flashAttention: this.options.flashAttention ?? true,
      kvF32: this.options.kvType === "f32",
      steeringPath: this.steeringPath,
    };
    const begun = performance.now();
    const context = new Context(await callAsync(() => this.native.createContext(options)), options);
    tell(this.options.logger, "debug", `a context of ${options.nCtx} cells and ${options.nSeqMax} sequences, ${options.nThreads} threads, made in ${seconds(begun)}`);
    return context;
  }

  /** Free the model; work in flight is aborted. Calling it twice is harmless. */
  dispose(): void {
    this.scheduler.dispose();
    this.native.dispose();
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** For `await using`: resolves when work in flight has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
    await this.scheduler.ended();
  }
}

function seconds(from: number, to = performance.now()): string {
  return `${((to - from) / 1000).toFixed(2)} s`;
}

function whatItIs({ labels, isEncoderDecoder }: NativeModelInfo): string {
  if (isEncoderDecoder) return "; it is an encoder–decoder: loadTranslator loads it";
  return labels.length > 0 ? "; it is a classifier: loadClassifier loads it" : "";
}

/** Some of llama.cpp's tokenisers end the process on long words. Throws E_BAD_ARGUMENT. */
export function checkWords(text: string): void {
  if (text.length <= LONGEST_WORD || text.split(/[\s\p{P}]+/u).every((word) => word.length <= LONGEST_WORD)) return;
  throw new SteeringError("E_BAD_ARGUMENT", `the text has a word of more than ${LONGEST_WORD} characters`);
}

function tell(logger: Logger | undefined, level: Parameters<Logger>[0], message: string): void {
  try {
    logger?.(level, message);
  } catch {
    // Its failures are its owner's: the work is not in vain for them.
  }
}

function checkLimits({ contextSize = 1, maxSequences = 1, maxGenerations = 1, threads = 1, gpuLayers = "all", ...options }: LoadModelOptions): void {
  for (const [name, allowed] of Object.entries(CHOICES)) {
    const chosen = options[name as keyof typeof CHOICES];
    if (chosen !== undefined && !(allowed as readonly string[]).includes(chosen)) throw new SteeringError("E_BAD_ARGUMENT", `${name} "${String(chosen)}" is none of ${allowed.join(", ")}`);
  }
  if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS) throw new SteeringError("E_BAD_ARGUMENT", `threads must be a whole number from 1 to ${MAX_THREADS}`);
  if (gpuLayers !== "all" && (!Number.isInteger(gpuLayers) || gpuLayers < 0)) throw new SteeringError("E_BAD_ARGUMENT", "gpuLayers must be \"all\" or a whole number of layers from 0");
  if (!Number.isInteger(contextSize) || contextSize < 1 || contextSize > 2 ** 30) throw new SteeringError("E_BAD_ARGUMENT", "contextSize must be a whole number of cells from 1");
  if (!Number.isInteger(maxGenerations) || maxGenerations < 1) throw new SteeringError("E_BAD_ARGUMENT", "maxGenerations must be a whole number from 1");
  if (!Number.isInteger(maxSequences) || maxSequences < 1 || maxSequences > MAX_SEQUENCES) throw new SteeringError("E_BAD_ARGUMENT", `maxSequences must be a whole number from 1 to ${MAX_SEQUENCES}`);
}

/** One thread per core: on x64 processors with many logical ones, two share the vector units of a core. */
export function defaultThreads(): number {
  const logical = availableParallelism();
  return process.arch === "x64" && logical > 4 ? Math.floor(logical / 2) : logical;
}
