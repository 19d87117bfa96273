import { writeFileSync } from "node:fs";
import { loadModel, type LoadModelOptions, type Model } from "../../lib/index.js";
import { ggufBytes, type Metadata } from "./gguf-writer.js";
import { architectureMetadata, architectureShape, architectureTensors } from "./tiny-architectures.js";
import type { Scratch } from "./tiny-files.js";

/** Types of tokens in a GGUF. */
const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE] = [1, 2, 3, 4, 6];

/** What a tiny model's vocabulary is to have, besides a token for each byte. */
export interface VocabularyParts {
  kind: "spm" | "bpe";
  control?: readonly string[];
  userDefined?: readonly string[];
  metadata?: Metadata;
}

/** Merged pieces, so that a border between texts can be seen in their tokens. */
const SPM_PIECES = ["▁", "▁H", "i", "Hi", "▁Hi", "▁Y", "o", "▁Yo", "\n"];
const BPE_MERGES = ["H i", "Ġ Hi", "Y o", "Ċ Ċ", "Ġ Ġ", "ĠĠ Ġ"];

/** A tiny random model with such a vocabulary, loaded: SentencePiece or byte-level BPE, with `<s>` and `</s>`. */
export async function loadVocabulary(
  space: Scratch, name: string, { kind, control = [], userDefined = [], metadata = {} }: VocabularyParts, options: LoadModelOptions = {},
): Promise<Model> {
  const shape = architectureShape("llama");
  const base = architectureMetadata("llama", shape, false);
  const nVocab = (base["tokenizer.ggml.tokens"] as string[]).length;
  const entries: Array<[text: string, type: number]> = [["<unk>", UNKNOWN!], ["<s>", CONTROL!], ["</s>", CONTROL!]];
  entries.push(
    ...control.map((text): [string, number] => [text, CONTROL!]), ...userDefined.map((text): [string, number] => [text, USER_DEFINED!]),
  );
  const pieces = kind === "spm" ? SPM_PIECES : BPE_MERGES.map((merge) => merge.replace(" ", ""));
  entries.push(...pieces.map((text): [string, number] => [text, NORMAL!]));
  // Bytes of ASCII, and as many of the others as there is room for: tests write ASCII.
  for (let byte = 0; entries.length < nVocab; byte++) entries.push(
    kind === "spm" ? [`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, BYTE!] : [letterOf(byte), NORMAL!],
  );
  const own: Metadata = {
    "tokenizer.ggml.model": kind === "spm" ? "llama" : "gpt2",
    ...(kind === "bpe" && { "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.merges": BPE_MERGES }),
    "tokenizer.ggml.tokens": entries.map(([text]) => text),
    "tokenizer.ggml.token_type": entries.map(([, type]) => type),
    "tokenizer.ggml.scores": { f32: entries.map(([text]) => -1 / text.length) },
  };
  const path = space.path(`${name}.gguf`);
  writeFileSync(path, ggufBytes({ ...base, ...own, ...metadata }, architectureTensors("llama")));
  return loadModel(path, { threads: 1, gpuLayers: 0, vet: false, ...options });
}

/** As byte-level BPE writes a byte. */
function letterOf(byte: number): string {
  const isShown = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  if (isShown) return String.fromCharCode(byte);
  return String.fromCharCode(0x100 + (byte <= 0x20 ? byte : byte < 0xa1 ? byte - 0x7f + 0x21 : 0x43));
}
