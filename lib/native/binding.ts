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
  nHead: number;
  dHead: number;
  nVocab: number;
  nCtxTrain: number;
  nParams: number;
  sizeBytes: number;
  tokenizerHash: string;
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
}

export interface NativeVector {
  site: string;
  layers: Int32Array;
  nSteps: number;
  width: number;
  /** `[layers, nSteps, width]` */
  data: Float32Array;
}

/** One entry per term: add `alphas[i]` times step `steps[i]` of vector `vectors[i]` to row `rows[i]`. */
export interface NativePlan {
  rows: Int32Array;
  vectors: Int32Array;
  steps: Int32Array;
  alphas: Float32Array;
}

/** One entry per captured row: its token step and its weight in the mean. */
export interface NativeCaptureRows {
  rows: Int32Array;
  steps: Int32Array;
  weights: Float64Array;
}

export interface NativeCapture {
  nLayer: number;
  nSteps: number;
  width: number;
  /** Weighted sums `[nLayer, nSteps, width]`. */
  sums: Float64Array;
  /** Total weight per step `[nSteps]`. */
  weights: Float64Array;
}

/** One entry per KL: rows of the last decode that hold P and S, and how to reduce (0 mean, 1 sum). */
export interface NativeAlphaRequest {
  baselines: Int32Array;
  strong: Int32Array;
  topP: Float64Array;
  alphaMax: Float64Array;
  reductions: Int8Array;
}

export interface NativeAlphas {
  alphas: Float64Array;
  kls: Float64Array;
}

export interface NativeContext {
  decode(tokens: Int32Array, positions: Int32Array, seqIds: Int32Array, outputs: Int8Array,
    plan?: NativePlan, capture?: NativeCaptureRows): Promise<void>;
  sample(rows: Int32Array): Promise<Int32Array>;
  composeAlpha(request: NativeAlphaRequest): Promise<NativeAlphas>;
  logits(row: number): Float32Array;
  /** Half-open range of positions; `end` −1 = to the last. */
  kvCopy(from: number, to: number, begin: number, end: number): void;
  kvRemove(sequence: number, begin: number, end: number): void;
  kvClear(): void;
  addVector(vector: NativeVector): number;
  removeVector(vector: number): void;
  beginCapture(site: string, nSteps: number): void;
  takeCapture(): NativeCapture;
  abort(): void;
  dispose(): void;
}

export interface NativeModel {
  info(): NativeModelInfo;
  tokenise(text: string, addSpecial: boolean, parseSpecial: boolean): Int32Array;
  detokenise(tokens: Int32Array): Uint8Array;
  isEndOfGeneration(token: number): boolean;
  createContext(options: NativeContextOptions): Promise<NativeContext>;
  dispose(): void;
}

export interface NativeAddon {
  loadBackends(folder: string, plugins: string[]): void;
  devices(): NativeDevice[];
  systemInfo(): string;
  loadModel(path: string, options: { nGpuLayers: number; useMmap: boolean }): Promise<NativeModel>;
}
