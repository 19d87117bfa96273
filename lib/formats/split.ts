import { readGgufHeader } from "./gguf-header.js";

const NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/s;

/**
 * Paths of all parts of a split model, given the path or address of its first part, `name-00001-of-00003.gguf`. For any other
 * file, just its own path.
 */
export function partNames(path: string): string[] {
  const [, stem, no, count] = NAME.exec(path) ?? [];
  if (no !== "00001" || count === "00000") return [path];
  return Array.from({ length: Number(count) }, (_, i) => `${stem}-${String(i + 1).padStart(5, "0")}-of-${count}.gguf`);
}

/** The path of a split model's first part, given that of a later part; otherwise undefined. */
export function firstPart(path: string): string | undefined {
  const [, stem, no, count] = NAME.exec(path) ?? [];
  return no === undefined || no === "00001" || no === "00000" || count! < no ? undefined : `${stem}-00001-of-${count}.gguf`;
}

/**
 * The files that llama.cpp loads for a model: several if both the name and the metadata of the first say so. Throws the errors of
 * `readGgufHeader`.
 */
export function modelFiles(path: string): string[] {
  const parts = partNames(path);
  return parts.length > 1 && readGgufHeader(path).split.count === parts.length ? parts : [path];
}
