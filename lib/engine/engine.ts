import { resolve } from "node:path";
import { SteeringError } from "../errors.js";
import { Constraints, Vocabulary, type Constraint } from "../grammar/index.js";
import { resolveModel } from "../models/index.js";
import {
  addon, call, callAsync, findInstallation, requireRpcBackend, type CaptureHandle, type GateHandle, type NativeContextOptions,
  type NativeModel, type NativeModelInfo, type NativeSpecialTokens, type SamplerHandle, type VectorHandle,
} from "../native/index.js";
import type { FullGate, HookSite, ModelFingerprint, Selection, VectorData } from "../vector/index.js";
import { int32s } from "./batch.js";
import { throwIfAborted } from "./abort.js";
import { Context, watched, type ContextNeeds } from "./context.js";
import { fileFingerprint } from "./fingerprint.js";
import { nativeGate } from "./gate.js";
import { checkGraphPath, hasDevice, rememberServers } from "./graph-check.js";
import { checkLimits, tell, withServers, type LoadModelOptions, type RopeScaling } from "./load-options.js";
import type { ModelInfo } from "./model-info.js";
import { quantisationName } from "./quantisation.js";
import { MachineRowTimes } from "./row-times.js";
import { toNativeSampler, type Sampling } from "./sampling.js";
import { Scheduler } from "./scheduler/scheduler.js";
import { defaultThreads, ThreadCount } from "./threads.js";
import { VectorHandles } from "./vector-handles.js";
import { vetModel } from "./vetting/vet.js";
import { checkWords } from "./words.js";

/** Maximum rows of one decode; longer prompts are prefilled in pieces. */
const N_BATCH = 512;
/** Maximum rows with logits of one decode, unless there are more sequences: more would score faster, but logits take much memory. */
const N_OUTPUTS = 32;
/** Context sizes are rounded up to multiples of this, so that a slightly longer prompt does not need a new context. */
const N_CTX_STEP = 512;
const DEFAULT_CONTEXT_SIZE = 4096;
const DEFAULT_MAX_SEQUENCES = 16;

/** The constructor arguments of `Engine`. */
export type EngineParts = ConstructorParameters<typeof Engine>;

/** Loads a GGUF, for `new Engine(...)` or a subclass. Throws what `loadModel` throws. */
export async function openEngine(nameOrPath: string, given: LoadModelOptions = {}): Promise<EngineParts> {
  const path = resolve(await resolveModel(nameOrPath)); // absolute, since it is read again later from any working directory
  const options = withServers(given);
  checkLimits(options);
  const { gpuLayers = "all", mmap = true, vet = true, backend = "auto", rpc, signal, threads, maxGenerations } = options;
  if (rpc) requireRpcBackend();
  const begun = performance.now();
  if (vet) await vetModel(path, signal);
  const vetted = performance.now();
  const steeringPath = await provenPath(options); // before this process uses the device: an RPC server takes one client at a time
  // Created only now, because it measures the machine's load, and our child processes have finished computing.
  const threadCount = new ThreadCount(threads ?? defaultThreads(), threads !== undefined);
  const where = { nGpuLayers: gpuLayers === "all" ? -1 : gpuLayers, ...(backend !== "auto" && { backend }), ...(rpc && { rpc: [...rpc] }) };
  const native = await callAsync(async () => addon().loadModel(path, { useMmap: mmap, ...where }));
  rememberServers(rpc ?? []);
  const info = native.info();
  const check = vet ? `, after a check of ${seconds(begun, vetted)}` : "";
  tell(options.logger, "info", `${path}: ${info.description}, loaded in ${seconds(vetted)}${check}`);
  if (maxGenerations === 1) await threadCount.settled(); // before the constructor holds the number
  if (info.isCausal && !signal?.aborted) return [native, info, path, { ...options, steeringPath }, threadCount];
  native.dispose();
  throwIfAborted(signal);
  throw new SteeringError("E_BAD_GGUF", `${path} is not a causal language model${whatItIs(info)}`);
}

/** Resolves `auto`: "callback" if the graph path was tried on this machine's devices and failed. */
async function provenPath(
  { steeringPath = "auto", gpuLayers = "all", backend = "auto", rpc = [], logger, signal }: LoadModelOptions,
): Promise<"auto" | "graph" | "callback"> {
  if (steeringPath !== "auto" || gpuLayers === 0 || !hasDevice(backend, rpc)) return steeringPath;
  const check = await checkGraphPath({ backend, rpc }, signal);
  if (check.holds) return "auto";
  tell(logger, "warn", "steering will be slower, since it synchronises at every layer: adding vectors in the graph does not work on this "
    + `machine's devices (${check.why})`);
  return "callback";
}

/** Returns the version of llama.cpp in use. */
export function engineVersion(): string {
  return findInstallation().built.llamaCpp;
}

/**
 * A loaded GGUF: its weights, its scheduler and its vectors on the native side. It owns its contexts; free it with `dispose()`, `using` or
 * `await using`.
 *
 * @hideconstructor
 */
export class Engine implements Disposable, AsyncDisposable {
  readonly info: Readonly<ModelInfo>;
  /** Maximum CPU threads that the model computes with. */
  readonly threads: number;
  /** Decides how many of the threads compute. @internal */
  readonly threadCount: ThreadCount;
  /** Layers on the GPU, as requested. */
  readonly gpuLayers: number | "all";
  /** How positions beyond the trained context are computed, as requested; undefined: as the file specifies. */
  readonly ropeScaling: RopeScaling | undefined;
  /** Maximum tokens of a prompt and its answer together: the trained context, times the factor of `ropeScaling`. */
  readonly maxContext: number;
  /** How vectors are added, as requested; "auto" becomes "callback" if the devices allow nothing else. */
  readonly steeringPath: NonNullable<LoadModelOptions["steeringPath"]>;
  /** The loading options that results depend on, as requested. @internal */
  readonly settings: Omit<LoadModelOptions, "logger" | "signal" | "vet" | "mmap" | "threads">;
  /** True once an RPC server that held a part of the weights has gone away: the model can then compute nothing. @internal */
  isLost = false;
  /** Runs this model's generations. @internal */
  readonly scheduler: Scheduler;
  private readonly rowTimes: MachineRowTimes;
  private readonly vectors: VectorHandles;
  private fingerprintOnce: Promise<ModelFingerprint> | undefined;
  private specialTokensOnce: NativeSpecialTokens | undefined;
  private constraints: Constraints | undefined;

  constructor(
    private readonly native: NativeModel,
    { isCausal: _isCausal, isEncoderDecoder: _isEncoderDecoder, labels: _labels, ...info }: NativeModelInfo,
    path: string,
    private readonly options: LoadModelOptions,
    threadCount: ThreadCount,
  ) {
    this.info = { ...info, path, quantisation: quantisationName(info.fileType) };
    this.threadCount = threadCount;
    this.threads = threadCount.most;
    if (options.maxGenerations === 1) threadCount.hold();
    const { logger: _logger, signal: _signal, vet: _vet, mmap: _mmap, threads: _threads, ...settings } = options;
    this.settings = settings;
    this.gpuLayers = options.gpuLayers ?? "all";
    const { ropeScaling } = options;
    this.ropeScaling = ropeScaling;
    this.maxContext = ropeScaling ? Math.floor((ropeScaling.originalContext ?? info.nCtxTrain) * ropeScaling.factor) : info.nCtxTrain;
    this.steeringPath = options.steeringPath ?? "auto";
    this.vectors = new VectorHandles(native, info.nHead, () => (this.steeringPath === "callback" ? 0 : threadCount.now(true)));
    const { contextSize: maxCells = DEFAULT_CONTEXT_SIZE, maxSequences = DEFAULT_MAX_SEQUENCES, maxGenerations = Infinity } = options;
    const isOnDevice = this.gpuLayers === "all" && hasDevice(options.backend, options.rpc);
    const createContext = (needs: ContextNeeds): Promise<Context> => this.createContext(needs);
    const devices = addon().devices().map(({ description }) => description);
    const key = async (): Promise<unknown> => [engineVersion(), (await this.fingerprint()).fileHash, settings, devices];
    const rowTimes = new MachineRowTimes({ key, createContext, threadCount, isOnDevice });
    const limits = { maxCells, maxSequences, maxTasks: maxGenerations, rowTimes, hasWholeSequences: info.hasWholeSequences };
    this.scheduler = new Scheduler(createContext, limits);
    this.rowTimes = rowTimes;
  }

  /**
   * Tokenises a text. Throws E_BAD_ARGUMENT for a word of more than 16,384 characters.
   * `special`: parse marks such as `<|…|>` as special tokens. `bos`: begin with BOS if the model wants one; pass `false` for a text that
   * continues another. EOS is never added, whatever the file says, since it would end the text that the model continues.
   */
  tokenise(text: string, { special = false, bos = true } = {}): number[] {
    checkWords(text);
    return Array.from(call(() => this.native.tokenise(text, bos, special)));
  }

  /** Tokens that are matched in a text as a whole, and the texts of BOS and EOS. @internal */
  specialTokens(): NativeSpecialTokens {
    this.specialTokensOnce ??= call(() => this.native.specialTokens());
    return this.specialTokensOnce;
  }

  /** Returns the tokens' UTF-8 bytes, which may end inside a character. Throws E_BAD_TOKEN. */
  detokenise(tokens: readonly number[]): Uint8Array {
    return call(() => this.native.detokenise(int32s(tokens, "tokens")));
  }

  /** Throws E_BAD_TOKEN for a token outside the vocabulary, and E_BAD_ARGUMENT for one that is not a whole number. @internal */
  checkTokens(tokens: readonly number[]): void {
    const { nVocab } = this.info;
    const wrong = tokens.find((token) => !(token >= 0 && token < nVocab && Number.isInteger(token)));
    if (wrong === undefined) return;
    if (!Number.isInteger(wrong)) throw new SteeringError("E_BAD_ARGUMENT", `tokens: ${String(wrong)} is not a whole number`);
    throw new SteeringError("E_BAD_TOKEN", `token ${wrong} is outside the vocabulary of ${nVocab}`);
  }

  /** True for tokens that end an answer, such as end of text or end of turn. Throws E_BAD_TOKEN. */
  isEndOfGeneration(token: number): boolean {
    return call(() => this.native.isEndOfGeneration(token));
  }

  /** Identifies the model; steering vectors are bound to it. */
  fingerprint(): Promise<ModelFingerprint> {
    this.fingerprintOnce ??= fileFingerprint(this.info).catch((error: unknown) => {
      this.fingerprintOnce = undefined; // a file that is unreadable now may be readable later
      throw error;
    });
    return this.fingerprintOnce;
  }

  /** True if activations can be read and changed at this site in at least one layer; `siteLayers` lists them. */
  hasSite(site: HookSite): boolean {
    return this.siteLayers(site).length > 0;
  }

  /**
   * Lists the layers in which activations can be read and changed at this site, ascending; in hybrid models, only some layers have
   * attention. `everyRow`: only layers in which every token's activations can be read, since after the last layer's attention llama.cpp
   * computes only the rows that need logits.
   */
  siteLayers(site: HookSite, { everyRow = false } = {}): number[] {
    const { layers, cut } = call(() => this.native.siteLayers(site));
    return Array.from(layers).filter((layer) => !everyRow || !cut.includes(layer));
  }

  /** Number of values per token at this site. Throws E_NO_SITE, with the reason, if no layer has it. */
  siteWidth(site: HookSite): number {
    return call(() => this.native.siteWidth(site));
  }

  /** Copies the vector, or parts of it, to the native side, once. Throws E_SHAPE, E_NOT_FINITE, E_NO_SITE. @internal */
  vectorHandle(whole: VectorData, selection: Selection = {}): VectorHandle {
    return this.vectors.of(whole, selection);
  }

  /** Creates empty sums `[layers, nSteps, width]` of activations. Throws E_SHAPE, E_NO_SITE. @internal */
  createCapture(site: HookSite, layers: readonly number[], nSteps: number): CaptureHandle {
    return call(() => this.native.createCapture({ site, layers: int32s(layers, "layers"), nSteps }));
  }

  /** Returns the weighted sums `[layers, nSteps, width]` and their weights `[nSteps]`, and resets the capture to zero. @internal */
  takeCapture(capture: CaptureHandle): { sums: Float64Array; weights: Float64Array } {
    return call(() => addon().takeCapture(capture));
  }

  /** Copies a gate's probe to the native side. Throws E_SHAPE, E_NO_SITE, E_NOT_FINITE. @internal */
  createGate(gate: FullGate): GateHandle {
    return call(() => this.native.createGate(nativeGate(gate)));
  }

  /**
   * Creates the sampling state of one generation that has seen the prompt; null: pick the likeliest token. Throws E_BAD_ARGUMENT,
   * E_BAD_TOKEN.
   * @internal
   */
  createSampler(sampling: Sampling, prompt: readonly number[]): SamplerHandle | null {
    const options = toNativeSampler(sampling, prompt, this.maxContext);
    return options === null ? null : call(() => this.native.createSampler(options));
  }

  /** Creates the constraint on one generation's text; undefined if its sampling has none. Throws E_BAD_GRAMMAR. @internal */
  createConstraint({ grammar, jsonSchema }: Sampling): Constraint | undefined {
    if (grammar === undefined && jsonSchema === undefined) return undefined;
    this.constraints ??= new Constraints(new Vocabulary(this.info.nVocab, call(() => this.native.pieces())));
    return this.constraints.create({ grammar, jsonSchema });
  }

  /** Creates a context, separate from the one that generations share. Throws E_DISPOSED, E_LLAMA. @internal */
  async createContext(needs: ContextNeeds): Promise<Context> {
    const { kind, factor, originalContext = this.info.nCtxTrain } = this.ropeScaling ?? {};
    const options: NativeContextOptions = {
      nCtx: Math.ceil(needs.nCtx / N_CTX_STEP) * N_CTX_STEP,
      nBatch: N_BATCH,
      nSeqMax: needs.nSeqMax,
      nOutputsMax: Math.max(needs.nSeqMax, N_OUTPUTS),
      nThreads: this.threads,
      flashAttention: this.options.flashAttention ?? true,
      kvF32: this.options.kvType === "f32",
      steeringPath: this.steeringPath,
      ...(factor !== undefined && { ropeScaling: { yarn: kind === "yarn", factor, originalContext } }),
    };
    const begun = performance.now();
    const onLost = (): void => { this.isLost = true; };
    const native = await watched(() => this.native.createContext(options), onLost);
    const context = new Context(native, options, this.threadCount, this.info.hasWholeSequences, onLost);
    const { nCtx, nSeqMax, nThreads } = options;
    const size = `${nCtx} cells and ${nSeqMax} sequences, ${nThreads} threads`;
    tell(this.options.logger, "debug", `a context of ${size}, created in ${seconds(begun)}`);
    return context;
  }

  /** Frees the model and aborts work in flight. Calling it twice is harmless. */
  dispose(): void {
    this.rowTimes.dispose();
    this.scheduler.dispose();
    this.native.dispose();
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** For `await using`: frees the model and resolves when work in flight has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
    await this.scheduler.ended();
  }
}

function seconds(from: number, to = performance.now()): string {
  return `${((to - from) / 1000).toFixed(2)} s`;
}

function whatItIs({ labels, isEncoderDecoder }: NativeModelInfo): string {
  if (isEncoderDecoder) return "; it is an encoder–decoder: use loadTranslator";
  return labels.length > 0 ? "; it is a classifier: use loadClassifier" : "";
}
