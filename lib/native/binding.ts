/** Typed mirror of the addon (native/addon.cc). Shapes are row-major; every array is copied before a call returns. */
import type { CaptureHandle, GateHandle, NativeStep, NativeStepResult, SamplerHandle, VectorHandle } from "./step.js";

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

/** A probe that opens and shuts a gate. */
export interface NativeGate {
  site: string;
  layer: number;
  /** `[width]` */
  weights: Float32Array;
  bias: number;
  /** The probability from which on it opens, and the one to which an open gate stays open; with `below`, both are upper limits. */
  opens: number;
  keeps: number;
  below: boolean;
  /** Its value is the probability (with `below`, its complement) instead of 1. */
  smooth: boolean;
}

export interface NativeContext {
  decode(step: NativeStep): Promise<NativeStepResult>;
  logits(row: number): Float32Array;
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

export interface NativeEmbedder {
  info(): { width: number; pooling: "mean" | "cls" | "last" };
  /** Vectors `[texts, width]`, not normalised. */
  embed(texts: readonly string[]): Promise<Float32Array>;
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
  createEmbedder(options: { nThreads: number }): Promise<NativeEmbedder>;
  createTranslator(options: { nThreads: number; kvF32: boolean }): Promise<NativeTranslator>;
  createVector(vector: NativeVector): VectorHandle;
  createCapture(capture: { site: string; layers: Int32Array; nSteps: number }): CaptureHandle;
  createGate(gate: NativeGate): GateHandle;
  createSampler(options: NativeSamplerOptions): SamplerHandle;
  dispose(): void;
}

/** The work done in this process so far. Tests count it instead of timing it. */
export interface NativeWork {
  /** Calls of the addon's functions and methods. */
  calls: number;
  /** Bytes of the typed arrays that were copied from JavaScript and to it. */
  argumentBytes: number;
  resultBytes: number;
  /** Graphs that were computed for contexts, their rows, and those of them with logits. */
  decodes: number;
  rows: number;
  outputs: number;
  /** Nodes of their graphs that llama.cpp asked about. */
  nodes: number;
  /** Of these, nodes at which a graph stopped, to synchronise and copy: none on the graph path. */
  stops: number;
  /** Waits for the end of a decode. */
  synchronises: number;
  /** Bytes of logits that left the graphs, of activations that were read and written at stops, and of vectors for the graph path. */
  logitBytes: number;
  activationBytes: number;
  vectorBytes: number;
}

export interface NativeAddon {
  loadBackends(folder: string, plugins: string[]): void;
  /** Lends this process's GPUs, or its CPU if it has none, at `host:port`; settles only if it cannot listen. */
  runRpcServer(endpoint: string, nThreads: number): Promise<void>;
  devices(): NativeDevice[];
  systemInfo(): string;
  /** A 64-bit hash of the values, which are not copied; it only tells whether they have changed. */
  hashOf(data: Float32Array): bigint;
  /** Counts the native objects alive in this process; for leak tests. */
  aliveObjects(): Record<
    "models" | "contexts" | "classifiers" | "embedders" | "translators" | "vectors" | "captures" | "gates" | "samplers", number>;
  workDone(): NativeWork;
  /** Weighted sums `[layers, nSteps, width]` and total weights `[nSteps]`; resets the capture to zero. */
  takeCapture(capture: CaptureHandle): { sums: Float64Array; weights: Float64Array };
  /** `backend`: use only this back end's devices; its name in lower case, or "cpu". */
  loadModel(path: string, options: { nGpuLayers: number; useMmap: boolean; backend?: string; rpc?: string[] }): Promise<NativeModel>;
}
