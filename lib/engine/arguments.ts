import { z } from "zod";
import { given } from "../arguments/index.js";
import type { LoadModelOptions, RopeScaling } from "./load-options.js";
import type { LoadTranslatorOptions } from "./translator.js";

const loaded = {
  backend: given.text, gpuLayers: z.union([given.number, z.literal("all")], 'expected a number, or "all"'), mmap: given.flag,
  threads: given.number, flashAttention: given.flag, kvType: given.text, contextSize: given.number, maxSequences: given.number,
  maxGenerations: given.number, vet: given.flag, logger: given.callback, signal: given.signal, steeringPath: given.text,
  rpc: given.list(given.text),
  ropeScaling: given.requiredOf<RopeScaling>({ kind: given.text, factor: given.number, originalContext: given.number.optional() }),
};
export const loadingArgument = given.optionsOf<LoadModelOptions>(loaded);

const { gpuLayers, mmap, threads, vet, kvType, signal } = loaded;
export const loadingTranslatorArgument = given.optionsOf<LoadTranslatorOptions>({
  gpuLayers, mmap, threads, vet, kvType, signal, prefix: given.callback,
});
