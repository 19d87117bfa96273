import { availableParallelism } from "node:os";
import { SteeringError } from "../errors.js";
import { resolveModel } from "../io/pull.js";
import { addon, call, callAsync, type NativeContextOptions, type NativeModel } from "../native/index.js";
import type { ModelFingerprint } from "../steering/index.js";
import { int32s } from "./batch.js";
import { Context, untilAborted } from "./context.js";
import { fileFingerprint } from "./fingerprint.js";
import type { ModelInfo } from "./model-info.js";
import { quantisationName } from "./quantisation.js";

export interface LoadModelOptions {
  /** Layers to put on the GPU: a number, or "all" (default; on a machine without a GPU that means none). */
  gpuLayers?: number | "all";
  /** Map the file into memory (default) instead of reading it. */
  mmap?: boolean;
  /** CPU threads; default: one per core that the process may use. */
  threads?: number;
  /** Default true. */
  flashAttention?: boolean;
  /** Type of the KV cache: F16 (default), or F32 for comparisons with other implementations. */
  kvType?: "f16" | "f32";
}

/** What a piece of work needs of a context. */
export interface ContextNeeds {
  /** KV cells in all. */
  nCtx: number;
  nSeqMax: number;
}

/** The use of a model's context by one piece of work. */
export interface ContextLease extends Disposable {
  context: Context;
  /** Calling it twice is harmless. */
  release(): void;
}

/** Most rows of one decode; longer prompts are fed in pieces. */
const N_BATCH = 512;
/** Contexts grow in steps of this many cells, so that a slightly longer prompt need not make a new one. */
const N_CTX_STEP = 512;

/**
 * Load a GGUF.
 *
 * @param nameOrPath name of the registry (`llama-steer models list`), path of a GGUF, or `hf:owner/repo/file.gguf`
 * @throws SteeringError E_NOT_FOUND, E_BAD_GGUF, E_NATIVE
 */
export async function loadModel(nameOrPath: string, options: LoadModelOptions = {}): Promise<Model> {
  const path = await resolveModel(nameOrPath);
  const { gpuLayers = "all", mmap = true } = options;
  const native = await callAsync(async () => addon().loadModel(path, { nGpuLayers: gpuLayers === "all" ? -1 : gpuLayers, useMmap: mmap }));
  return new Model(native, path, options);
}

/** A loaded GGUF. Owns its contexts; free it with `dispose()` or `await using`. */
export class Model implements AsyncDisposable {
  readonly info: Readonly<ModelInfo>;
  private context: Context | undefined;
  private lastLease: Promise<void> = Promise.resolve();
  private disposed = false;
  private fingerprintOnce: Promise<ModelFingerprint> | undefined;

  constructor(private readonly native: NativeModel, path: string, private readonly options: LoadModelOptions) {
    const info = native.info();
    this.info = { ...info, path, quantisation: quantisationName(info.fileType) };
  }

  /** Tokens of a text, with BOS where the model wants one. `special`: read `<|…|>` marks as special tokens. */
  tokenise(text: string, { special = false } = {}): number[] {
    return Array.from(call(() => this.native.tokenise(text, true, special)));
  }

  /** UTF-8 bytes of the tokens; may end inside a character. Throws E_BAD_TOKEN. */
  detokenise(tokens: readonly number[]): Uint8Array {
    return call(() => this.native.detokenise(int32s(tokens, "tokens")));
  }

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

  /**
   * Wait for this model's context: at least these sizes, an empty KV cache, nobody else's until released.
   * Throws E_DISPOSED, E_ABORTED, E_LLAMA.
   */
  async leaseContext(needs: ContextNeeds, signal?: AbortSignal): Promise<ContextLease> {
    const before = this.lastLease;
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => { release = resolve; });
    this.lastLease = before.then(() => released);
    try {
      await untilAborted(before, signal);
      return { context: await this.prepareContext(needs), release, [Symbol.dispose]: release };
    } catch (error) {
      release();
      throw error;
    }
  }

  private async prepareContext(needs: ContextNeeds): Promise<Context> {
    if (this.disposed) throw new SteeringError("E_DISPOSED", "the model was disposed");
    const { nCtx, nSeqMax } = this.context?.options ?? { nCtx: 0, nSeqMax: 0 };
    if (!this.context || nCtx < needs.nCtx || nSeqMax < needs.nSeqMax) {
      this.context?.dispose();
      this.context = undefined;
      // Never smaller than the one before: works of different sizes would take turns in throwing it away.
      const context = await this.createContext({ nCtx: Math.max(nCtx, needs.nCtx), nSeqMax: Math.max(nSeqMax, needs.nSeqMax) });
      if (this.disposed) {
        context.dispose();
        throw new SteeringError("E_DISPOSED", "the model was disposed");
      }
      this.context = context;
    }
    this.context.kvClear();
    return this.context;
  }

  private async createContext(needs: ContextNeeds): Promise<Context> {
    const options: NativeContextOptions = {
      nCtx: Math.ceil(needs.nCtx / N_CTX_STEP) * N_CTX_STEP,
      nBatch: N_BATCH,
      nSeqMax: needs.nSeqMax,
      nOutputsMax: Math.max(needs.nSeqMax, 8),
      nThreads: this.options.threads ?? defaultThreads(),
      flashAttention: this.options.flashAttention ?? true,
      kvF32: this.options.kvType === "f32",
    };
    return new Context(await callAsync(() => this.native.createContext(options)), options);
  }

  /** Free the model; work in flight is aborted. Calling it twice is harmless. */
  dispose(): void {
    this.disposed = true;
    this.context?.dispose();
    this.context = undefined;
    this.native.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
    await this.lastLease;
  }
}

/** One thread per core: on x64 processors with many logical ones, two share the vector units of a core. */
function defaultThreads(): number {
  const logical = availableParallelism();
  return process.arch === "x64" && logical > 4 ? Math.floor(logical / 2) : logical;
}
