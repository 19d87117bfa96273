import type { NativeModelInfo } from "../native/index.js";

/** The properties of a GGUF. */
export interface ModelInfo extends Omit<NativeModelInfo, "isCausal" | "isEncoderDecoder" | "labels"> {
  path: string;
  /** Name of the file type, e.g. `Q4_K_M`. */
  quantisation: string;
}
