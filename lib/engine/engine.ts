import { resolve } from "node:path";
import { SteeringError } from "../errors.js";
import { resolveModel } from "../models/index.js";
import { addon, call, callAsync, findInstallation, type CaptureHandle, type NativeContextOptions, type NativeModel, type NativeModelInfo, type NativeSpecialTokens, type SamplerHandle, type VectorHandle } from "../native/index.js";
import { select, type HookSite, type ModelFingerprint, type Selection, type VectorData } from "../vector/index.js";
import { int32s } from "./batch.js";
import { throwIfAborted } from "./abort.js";
import { Context } from "./context.js";
import { fileFingerprint } from "./fingerprint.js";
import { checkGraphPath, hasDevice } from "./graph-check.js";
import { checkLimits, type LoadModelOptions, type Logger, type RopeScaling } from "./load-options.js";
import type { ModelInfo } from "./model-info.js";
import { quantisationName } from "./quantisation.js";
import { toNativeSampler, type Sampling } from "./sampling.js";
import { Scheduler } from "./scheduler/scheduler.js";
import { defaultThreads, ThreadCount } from "./threads.js";
import { vetModel } from "./vetting/vet.js";

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
  const { gpuLayers = "all", mmap = true, vet = true, backend = "auto", signal, threads, maxGenerations } = options;
  const begun = performance.now();
  if (vet) await vetModel(path, signal);
  const vetted = performance.now();
  const nGpuLayers = gpuLayers === "all" ? -1 : gpuLayers;
  const steeringPath = await provenPath(options); // before this process holds the device: an RPC server takes one client at a time
  const threadCount = new ThreadCount(threads ?? defaultThreads(), threads !== undefined); // looks at the load once our children have ended
  const native = await callAsync(async () => addon().loadModel(path, { nGpuLayers, useMmap: mmap, ...(backend !== "auto" && { backend }) }));
  const info = native.info();
  tell(options.logger, "info", `${path}: ${info.description}, loaded in ${seconds(vetted)}${vet ? `, after a check of ${seconds(begun, vetted)}` : ""}`);
  if (maxGenerations === 1) await threadCount.settled(); // before the constructor holds it
  if (info.isCausal && !signal?.aborted) return [native, info, path, { ...options, steeringPath }, threadCount];
  native.dispose();
  throwIfAborted(signal);
  throw new SteeringError("E_BAD_GGUF", `${path} is not a causal language model${whatItIs(info)}`);
}

/** What `auto` stands for: the callback path alone on devices where the graph path was tried and failed. */
async function provenPath({ steeringPath = "auto", gpuLayers = "all", backend = "auto", logger, signal }: LoadModelOptions): Promise<"auto" | "graph" | "callback"> {
  if (steeringPath !== "auto" || gpuLayers === 0 || backend === "cpu" || !hasDevice()) return steeringPath;
  const check = await checkGraphPath(backend, signal);
  if (check.holds) return "auto";
  tell(logger, "warn", `steering synchronises at every layer: adding vectors in the graph does not work on this machine's devices (${check.why})`);
  return "callback";
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
  /** CPU threads that it computes with, at most. */
  readonly threads: number;
  /** How many of them compute. @internal */
  readonly threadCount: ThreadCount;
  /** Layers on the GPU, as asked for. */
  readonly gpuLayers: number | "all";
  /** How positions beyond the trained context are computed, as asked for; undefined: as the file says. */
  readonly ropeScaling: RopeScaling | undefined;
  /** Tokens that a prompt and its answer may have together: what the model was trained for, times `ropeScaling`. */
  readonly maxContext: number;
  /** How vectors are added: as asked for; for "auto", "callback" where the devices allow nothing else. */
  readonly steeringPath: NonNullable<LoadModelOptions["steeringPath"]>;
  /** Runs this model's generations. @internal */
  readonly scheduler: Scheduler;
  private readonly handles = new WeakMap<VectorData, Map<string, VectorHandle>>();
  private fingerprintOnce: Promise<ModelFingerprint> | undefined;
  private specialTokensOnce: NativeSpecialTokens | undefined;

  constructor(private readonly native: NativeModel, { isCausal: _isCausal, isEncoderDecoder: _isEncoderDecoder, labels: _labels, ...info }: NativeModelInfo, path: string, private readonly options: LoadModelOptions, threadCount: ThreadCount) {
    this.info = { ...info, path, quantisation: quantisationName(info.fileType) };
    this.threadCount = threadCount;
    this.threads = threadCount.most;
    if (options.maxGenerations === 1) threadCount.hold();
    this.gpuLayers = options.gpuLayers ?? "all";
    const { ropeScaling } = options;
    this.ropeScaling = ropeScaling;
    this.maxContext = ropeScaling ? Math.floor((ropeScaling.originalContext ?? info.nCtxTrain) * ropeScaling.factor) : info.nCtxTrain;
    this.steeringPath = options.steeringPath ?? "auto";
    const { contextSize: maxCells = DEFAULT_CONTEXT_SIZE, maxSequences = DEFAULT_MAX_SEQUENCES, maxGenerations: maxTasks = Infinity } = options;
    this.scheduler = new Scheduler((needs) => this.createContext(needs), { maxCells, maxSequences, maxTasks, hasWholeSequences: info.hasWholeSequences });
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

  /** True where activations can be read and changed at this site in some layer: in all of `siteLayers`. */
  hasSite(site: HookSite): boolean {
    return this.siteLayers(site).length > 0;
  }

  /**
   * Layers in which activations can be read and changed at this site, ascending; in hybrid models, only some have attention.
   * `everyRow`: those in which every token's can be read; after the last layer's attention, llama.cpp computes only what is needed for logits.
   */
  siteLayers(site: HookSite, { everyRow = false } = {}): number[] {
    const { layers, cut } = call(() => this.native.siteLayers(site));
    return Array.from(layers).filter((layer) => !everyRow || !cut.includes(layer));
  }

  /** Values per token at this site. Throws E_NO_SITE, with the reason, where no layer has it. */
  siteWidth(site: HookSite): number {
    return call(() => this.native.siteWidth(site));
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
    const options = toNativeSampler(sampling, prompt, this.maxContext);
    return options === null ? null : call(() => this.native.createSampler(options));
  }

  /** A context of its own, beside the one that generations share. Throws E_DISPOSED, E_LLAMA. @internal */
  async createContext(needs: ContextNeeds): Promise<Context> {
    const { ropeScaling } = this;
    const options: NativeContextOptions = {
      nCtx: Math.ceil(needs.nCtx / N_CTX_STEP) * N_CTX_STEP,
      nBatch: N_BATCH,
      nSeqMax: needs.nSeqMax,
      nOutputsMax: Math.max(needs.nSeqMax, 8),
      nThreads: this.threads,
      flashAttention: this.options.flashAttention ?? true,
      kvF32: this.options.kvType === "f32",
      steeringPath: this.steeringPath,
      ...(ropeScaling && { ropeScaling: { yarn: ropeScaling.kind === "yarn", factor: ropeScaling.factor, originalContext: ropeScaling.originalContext ?? this.info.nCtxTrain } }),
    };
    const begun = performance.now();
    const context = new Context(await callAsync(() => this.native.createContext(options)), options, this.threadCount, this.info.hasWholeSequences);
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
