/** Typed mirror of the addon (native/addon.cc). Shapes are row-major; every array is copied before a call returns. */

export interface NativeDevice {
  name: string;
  description: string;
  kind: "cpu" | "gpu" | "igpu" | "accelerator";
  freeBytes: number;
  totalBytes: number;
}

export interface NativeModelInfo {
  architecture: string;
  name: string;
  description: string;
  /** llama.cpp's file type number (`general.file_type`). */
  fileType: number;
  nLayer: number;
  nEmbd: number;
  /** Of the first layer, or, where that has no attention, of the layer that has most. */
  nHead: number;
  /** Width of a head's output, by W_O's shape. */
  dHead: number;
  nVocab: number;
  nCtxTrain: number;
  nParams: number;
  sizeBytes: number;
  tokenizerHash: string;
  bosToken: number | null;
  /**
   * True where a sequence's memory is a state, in recurrent and hybrid models: it can only be copied and removed as a whole, not
   * cut at a token.
   */
  hasWholeSequences: boolean;
  /** False for encoders, and where there is one. */
  isCausal: boolean;
  /** True for T5 and its kind. */
  isEncoderDecoder: boolean;
  /** Of the classification head; empty without one. */
  labels: string[];
  chatTemplate: string | null;
}

export interface NativeContextOptions {
  /** KV cells shared by all sequences. */
  nCtx: number;
  /** Most rows of one decode. */
  nBatch: number;
  nSeqMax: number;
  /** Most rows with logits of one decode. */
  nOutputsMax: number;
  nThreads: number;
  flashAttention: boolean;
  /** K and V in F32 instead of F16. */
  kvF32: boolean;
  steeringPath: "auto" | "graph" | "callback";
  /** `yarn`, or linear; `originalContext` 0 = as the file says. Without it, as the file says. */
  ropeScaling?: { yarn: boolean; factor: number; originalContext: number };
}

export interface NativeVector {
  site: string;
  layers: Int32Array;
  nSteps: number;
  width: number;
  /** `[layers, nSteps, width]` */
  data: Float32Array;
  /**
   * Threads that compute, in the background and from now on, what the graph path needs of a vector at head_out: its products with W_O.
   * 0 = the first decode that needs them computes them.
   */
  nThreads: number;
}

declare const nativeKind: unique symbol;
/** Objects that JavaScript only holds and passes back; they are freed when it forgets them. */
export interface VectorHandle { readonly [nativeKind]: "vector" }
export interface CaptureHandle { readonly [nativeKind]: "capture" }
export interface SamplerHandle { readonly [nativeKind]: "sampler" }

/**
 * One entry per term: add `alphas[i]` times step `steps[i]` of `vectors[indices[i]]` to row `rows[i]`. The step after the last is
 * the mean of all.
 */
export interface NativeTerms {
  vectors: VectorHandle[];
  rows: Int32Array;
  indices: Int32Array;
  steps: Int32Array;
  alphas: Float32Array;
}

/** One entry per captured row: where it goes, its token step and its weight in the mean. */
export interface NativeCaptureRows {
  captures: CaptureHandle[];
  rows: Int32Array;
  indices: Int32Array;
  steps: Int32Array;
  weights: Float64Array;
}

/** One entry per KL: rows of this decode that hold P and S, and how to reduce (0 mean, 1 sum). */
export interface NativeAlphaRequests {
  baselines: Int32Array;
  strong: Int32Array;
  topP: Float64Array;
  alphaMax: Float64Array;
  reductions: Int8Array;
}

/** A decode and what is to be read off its logits. */
export interface NativeStep {
  tokens: Int32Array;
  positions: Int32Array;
  sequences: Int32Array;
  outputs: Int8Array;
  terms: NativeTerms | undefined;
  captures: NativeCaptureRows | undefined;
  alphas: NativeAlphaRequests | undefined;
  /**
   * Rows whose next token is wanted: the sampler's, or the likeliest where that is null. `targets`: tokens whose log probability
   * is wanted (−1 = none, −2 = of the token that was picked).
   */
  samples: { rows: Int32Array; samplers: Array<SamplerHandle | null>; targets: Int32Array } | undefined;
}

export interface NativeStepResult {
  /** Per KL; NaN where a row's logits are not finite. */
  kls: Float64Array;
  alphas: Float64Array;
  /** Per sample; −1 where a row's logits are not finite or its sampler allows no token. */
  tokens: Int32Array;
  /** Per sample: log probability of the token in nats; NaN where the target is −1. */
  logProbabilities: Float64Array;
}

export interface NativeContext {
  decode(step: NativeStep): Promise<NativeStepResult>;
  logits(row: number): Float32Array;
  /** How often the last decode stopped in the middle of its graph, to synchronise and copy. */
  stops(): number;
  /** Threads that compute from the next decode on; E_BUSY during one. */
  setThreads(nThreads: number): void;
  /** llama.cpp's own, `[nLayer − 1, nEmbd]` from layer 1, on every row; empty = none. */
  setControlVector(data: Float32Array): void;
  /** Half-open range of positions; `end` −1 = to the last. E_BAD_ARGUMENT for a part of a sequence if `hasWholeSequences`. */
  kvCopy(from: number, to: number, begin: number, end: number): void;
  kvRemove(sequence: number, begin: number, end: number): void;
  kvClear(): void;
  abort(): void;
  dispose(): void;
}

export interface NativeClassifier {
  /** Logits `[texts, labels]`. */
  classify(texts: readonly string[]): Promise<Float32Array>;
  /** Threads that compute from the next call on; E_BUSY during one. */
  setThreads(nThreads: number): void;
  dispose(): void;
}

export interface NativeTranslation {
  /** Without the end of generation. */
  tokens: Int32Array;
  /** Their UTF-8 bytes; may end inside a character where it is truncated. */
  bytes: Uint8Array;
  /** Sum over the tokens and the end, in nats; for comparisons: of tied embeddings llama.cpp leaves out T5's scale of the logits. */
  logProbability: number;
  isTruncated: boolean;
}

export interface NativeTranslator {
  /** One per text, of at most `nMax` tokens; special tokens are read in `prefix` alone. */
  translate(texts: readonly string[], prefix: string, nMax: number): Promise<NativeTranslation[]>;
  abort(): void;
  /** Threads that compute from the next call on; E_BUSY during one. */
  setThreads(nThreads: number): void;
  dispose(): void;
}

export interface NativeSamplerOptions {
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repeatPenalty: number;
  repeatLastN: number;
  /** Tokens before the first one, for the penalty. */
  history: Int32Array;
  seed: number;
  biasTokens: Int32Array;
  biases: Float32Array;
}

/** A token that is found in a text as a whole, before the rest is tokenised. */
export interface NativeSpecialToken {
  token: number;
  text: string;
  /** Found in every text; the others only in texts whose special tokens are read. */
  isUserDefined: boolean;
  /** Swallows the white space before it. */
  stripsLeft: boolean;
  /** Swallows the white space after it. */
  stripsRight: boolean;
}

export interface NativeSpecialTokens {
  /** Texts of the tokens that begin and end a text; null where the file names none. */
  bos: string | null;
  eos: string | null;
  /** Longest first, as llama.cpp looks for them. */
  tokens: NativeSpecialToken[];
}

/** A node of llama.cpp's graph, by which a site of a layer is found. */
export interface NativeSiteNode {
  site: string;
  layer: number;
  width: number;
  /** It has rows for the outputs of a batch only. */
  isCut: boolean;
  /** Its name, operation and operands; empty where its weight alone tells. */
  signature: string;
}

export interface NativeModel {
  info(): NativeModelInfo;
  /** A text that is continued: BOS where `addBos` and the vocabulary ask for it, never an EOS that the text does not have. */
  tokenise(text: string, addBos: boolean, parseSpecial: boolean): Int32Array;
  specialTokens(): NativeSpecialTokens;
  detokenise(tokens: Int32Array): Uint8Array;
  isEndOfGeneration(token: number): boolean;
  /** Layers that have the site; `cut`: those in which it has rows for the outputs of a batch only. */
  siteLayers(site: string): { layers: Int32Array; cut: Int32Array };
  /** E_NO_SITE where no layer has the site. */
  siteWidth(site: string): number;
  /** The node of every site; for tests of what a new llama.cpp changes. */
  siteNodes(): NativeSiteNode[];
  createContext(options: NativeContextOptions): Promise<NativeContext>;
  createClassifier(options: { nThreads: number }): Promise<NativeClassifier>;
  createTranslator(options: { nThreads: number; kvF32: boolean }): Promise<NativeTranslator>;
  createVector(vector: NativeVector): VectorHandle;
  createCapture(capture: { site: string; layers: Int32Array; nSteps: number }): CaptureHandle;
  createSampler(options: NativeSamplerOptions): SamplerHandle;
  dispose(): void;
}

export interface NativeAddon {
  loadBackends(folder: string, plugins: string[]): void;
  /** Adds the devices of RPC servers, each `host:port`. */
  addRpcServers(endpoints: string[]): void;
  /** Lends this process's CPU at `host:port`; settles only where it cannot listen. */
  runRpcServer(endpoint: string, nThreads: number): Promise<void>;
  devices(): NativeDevice[];
  systemInfo(): string;
  /** True when the vector was made of these values. */
  vectorIsMadeOf(vector: VectorHandle, data: Float32Array): boolean;
  /** Native objects that are alive in this process, for tests of what is left behind. */
  aliveObjects(): Record<"models" | "contexts" | "classifiers" | "translators" | "vectors" | "captures" | "samplers", number>;
  /** Weighted sums `[layers, nSteps, width]` and total weights `[nSteps]`; the capture starts again from nothing. */
  takeCapture(capture: CaptureHandle): { sums: Float64Array; weights: Float64Array };
  /** `backend`: devices of this one alone, in lower case, or "cpu". */
  loadModel(path: string, options: { nGpuLayers: number; useMmap: boolean; backend?: string }): Promise<NativeModel>;
}
