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
  /** Heads of the first layer or, if that has no attention, of the layer with the most. */
  nHead: number;
  /** Width of a head's output, from W_O's shape. */
  dHead: number;
  nVocab: number;
  nCtxTrain: number;
  nParams: number;
  sizeBytes: number;
  tokenizerHash: string;
  bosToken: number | null;
  /**
   * True for recurrent and hybrid models, whose memory of a sequence is a state: it can only be copied and removed as a whole, not cut
   * at a token.
   */
  hasWholeSequences: boolean;
  /** False for models that are, or contain, an encoder. */
  isCausal: boolean;
  /** True for T5 and similar models. */
  isEncoderDecoder: boolean;
  /** Labels of the classification head; empty without one. */
  labels: string[];
  chatTemplate: string | null;
}

export interface NativeContextOptions {
  /** KV cells shared by all sequences. */
  nCtx: number;
  /** Maximum rows of one decode. */
  nBatch: number;
  nSeqMax: number;
  /** Maximum rows with logits in one decode. */
  nOutputsMax: number;
  nThreads: number;
  flashAttention: boolean;
  /** K and V in F32 instead of F16. */
  kvF32: boolean;
  steeringPath: "auto" | "graph" | "callback";
  /** YaRN or linear scaling; `originalContext` 0 = the file's value. Default: the file's scaling. */
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
   * Threads that compute the products of a head_out vector with W_O, which the graph path needs, in the background from now on.
   * 0 = the first decode that needs the products computes them.
   */
  nThreads: number;
}

declare const nativeKind: unique symbol;
/** Opaque native objects that JavaScript holds and passes back; they are freed when they are garbage-collected. */
export interface VectorHandle { readonly [nativeKind]: "vector" }
export interface CaptureHandle { readonly [nativeKind]: "capture" }
export interface SamplerHandle { readonly [nativeKind]: "sampler" }

/**
 * One entry per term: adds `alphas[i]` times step `steps[i]` of `vectors[indices[i]]` to row `rows[i]`. The step after the
 * last is the mean of all steps.
 */
export interface NativeTerms {
  vectors: VectorHandle[];
  rows: Int32Array;
  indices: Int32Array;
  steps: Int32Array;
  alphas: Float32Array;
}

/** One entry per captured row: its capture, its token step and its weight in the mean. */
export interface NativeCaptureRows {
  captures: CaptureHandle[];
  rows: Int32Array;
  indices: Int32Array;
  steps: Int32Array;
  weights: Float64Array;
}

/** One entry per KL: the rows of P and S in this decode, and how to reduce (0 mean, 1 sum). */
export interface NativeAlphaRequests {
  baselines: Int32Array;
  strong: Int32Array;
  /** What was added to the rows of S; only guesses use it. */
  strongAlphas: Float64Array;
  topP: Float64Array;
  alphaMax: Float64Array;
  reductions: Int8Array;
}

/** Which tokens a sampler may pick, one bit each, 32 to a number; null: all. */
type Allowed = Int32Array | null;

/** The input of a decode, and what to read from its logits. */
export interface NativeStep {
  tokens: Int32Array;
  positions: Int32Array;
  sequences: Int32Array;
  outputs: Int8Array;
  terms: NativeTerms | undefined;
  captures: NativeCaptureRows | undefined;
  alphas: NativeAlphaRequests | undefined;
  /**
   * Rows to pick a next token for, with the sampler or, if that is null, greedily. `targets`: the tokens whose log probabilities to
   * return (−1 = none, −2 = the picked token). `settles`: 1 for a row P whose token is only picked if the alphas measured against P make
   * P or one S the output row; otherwise the token is −2.
   */
  samples: {
    rows: Int32Array; samplers: Array<SamplerHandle | null>; targets: Int32Array; settles: Int8Array;
    allowed: Allowed[];
  } | undefined;
  /**
   * Rows P whose next token to guess, with the sampler's present state, from the mixture of P and of the rows S of all KLs with that P
   * (`alpha / strongAlpha` of each).
   */
  guesses: { rows: Int32Array; samplers: Array<SamplerHandle | null>; allowed: Allowed[] } | undefined;
}

export interface NativeStepResult {
  /** One per KL; NaN if a row's logits are not finite. */
  kls: Float64Array;
  alphas: Float64Array;
  /** One per sample; −1 if a row's logits are not finite or its sampler allows no token. */
  tokens: Int32Array;
  /** One per sample: the token's log probability in nats; NaN if the target is −1. */
  logProbabilities: Float64Array;
  /** One per guess, made after the samples; −1 if the mixture is not finite or allows no token. */
  guesses: Int32Array;
}

export interface NativeContext {
  decode(step: NativeStep): Promise<NativeStepResult>;
  logits(row: number): Float32Array;
  /** How often the last decode paused within its graph to synchronise and copy. */
  stops(): number;
  /** Sets the thread count from the next decode on; E_BUSY during a decode. */
  setThreads(nThreads: number): void;
  /** Sets llama.cpp's own control vector, `[nLayer − 1, nEmbd]` from layer 1, on every row; empty = none. */
  setControlVector(data: Float32Array): void;
  /** Positions `[begin, end)`; `end` −1 = to the last. With `hasWholeSequences`, a part of a sequence is E_BAD_ARGUMENT. */
  kvCopy(from: number, to: number, begin: number, end: number): void;
  kvRemove(sequence: number, begin: number, end: number): void;
  kvClear(): void;
  abort(): void;
  dispose(): void;
}

export interface NativeClassifier {
  /** Logits `[texts, labels]`. */
  classify(texts: readonly string[]): Promise<Float32Array>;
  /** Sets the thread count from the next call on; E_BUSY during a call. */
  setThreads(nThreads: number): void;
  dispose(): void;
}

export interface NativeTranslation {
  /** Without the end-of-generation token. */
  tokens: Int32Array;
  /** The tokens' UTF-8 bytes; may end inside a character if the translation is truncated. */
  bytes: Uint8Array;
  /** Sum over the tokens and the end, in nats. Only for comparisons: with tied embeddings, llama.cpp omits T5's scaling of the logits. */
  logProbability: number;
  isTruncated: boolean;
}

export interface NativeTranslator {
  /** One translation per text, each of at most `nMax` tokens; special tokens are parsed in `prefix` only. */
  translate(texts: readonly string[], prefix: string, nMax: number): Promise<NativeTranslation[]>;
  abort(): void;
  /** Sets the thread count from the next call on; E_BUSY during a call. */
  setThreads(nThreads: number): void;
  dispose(): void;
}

export interface NativeSamplerOptions {
  temperature: number;
  topK: number;
  topP: number;
  typicalP: number;
  topNSigma: number;
  minP: number;
  xtcProbability: number;
  xtcThreshold: number;
  repeatPenalty: number;
  presencePenalty: number;
  frequencyPenalty: number;
  repeatLastN: number;
  dryMultiplier: number;
  dryBase: number;
  dryAllowedLength: number;
  dryLastN: number;
  drySequenceBreakers: readonly string[];
  /** Tokens before the first new one, for the penalties. */
  history: Int32Array;
  seed: number;
  biasTokens: Int32Array;
  biases: Float32Array;
}

/** A token that llama.cpp matches as a whole before it tokenises the rest of a text. */
export interface NativeSpecialToken {
  token: number;
  text: string;
  /** Matched in every text; other special tokens only if special tokens are parsed. */
  isUserDefined: boolean;
  /** Removes the white space before it. */
  stripsLeft: boolean;
  /** Removes the white space after it. */
  stripsRight: boolean;
}

export interface NativeSpecialTokens {
  /** Texts of the BOS and EOS tokens; null if the file names none. */
  bos: string | null;
  eos: string | null;
  /** Longest first, the order in which llama.cpp matches them. */
  tokens: NativeSpecialToken[];
}

/** The tokens that write something, ascending by their bytes; those of token i are from `offsets[i]` to `offsets[i + 1]`. */
export interface NativePieces {
  /** Without those that end a text. */
  tokens: Int32Array;
  ends: Int32Array;
  offsets: Int32Array;
  bytes: Uint8Array;
}

/** The node of llama.cpp's graph that identifies a hook site in a layer. */
export interface NativeSiteNode {
  site: string;
  layer: number;
  width: number;
  /** True if the node only has rows for a batch's outputs. */
  isCut: boolean;
  /** The node's name, operation and operands; empty if its weight alone identifies it. */
  signature: string;
}

export interface NativeModel {
  info(): NativeModelInfo;
  /** Tokenises a text to continue: adds BOS if `addBos` is set and the vocabulary wants it, and never adds EOS. */
  tokenise(text: string, addBos: boolean, parseSpecial: boolean): Int32Array;
  specialTokens(): NativeSpecialTokens;
  detokenise(tokens: Int32Array): Uint8Array;
  isEndOfGeneration(token: number): boolean;
  pieces(): NativePieces;
  /** Layers that have the site; `cut`: those in which it only has rows for a batch's outputs. */
  siteLayers(site: string): { layers: Int32Array; cut: Int32Array };
  /** E_NO_SITE if no layer has the site. */
  siteWidth(site: string): number;
  /** The node of every site; for tests that compare llama.cpp versions. */
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
  /** Serves this process's CPU at `host:port`; settles only if it cannot listen. */
  runRpcServer(endpoint: string, nThreads: number): Promise<void>;
  devices(): NativeDevice[];
  systemInfo(): string;
  /** True if the vector was made from these values. */
  vectorIsMadeOf(vector: VectorHandle, data: Float32Array): boolean;
  /** Counts the native objects alive in this process; for leak tests. */
  aliveObjects(): Record<"models" | "contexts" | "classifiers" | "translators" | "vectors" | "captures" | "samplers", number>;
  /** Weighted sums `[layers, nSteps, width]` and total weights `[nSteps]`; resets the capture to zero. */
  takeCapture(capture: CaptureHandle): { sums: Float64Array; weights: Float64Array };
  /** `backend`: use only this back end's devices; its name in lower case, or "cpu". */
  loadModel(path: string, options: { nGpuLayers: number; useMmap: boolean; backend?: string }): Promise<NativeModel>;
}
