import { SteeringError } from "../errors.js";
import { writeAt, writeAtomic, bytesOf, encodeHeader } from "../formats/index.js";
import type { HookSite, ModelFingerprint } from "../vector/index.js";

/** Activations of one prompt: `data` is `[layers, nSteps, width]`. */
export interface ActivationRecord {
  layers: readonly number[];
  nSteps: number;
  width: number;
  data: Float32Array;
}

/** The source of a file's activations. */
export interface ActivationSource {
  site: HookSite;
  /** Maximum number of prompts; the header reserves space for them. */
  nPrompts: number;
  model: ModelFingerprint;
}

/** Room for a tensor's name, shape and offsets in the header. */
const ENTRY_BYTES = 160;
const METADATA_BYTES = 8192;

/**
 * Writes activations to a safetensors file as they arrive, holding one prompt in memory at a time: a tensor `prompt.<i>`,
 * `[layers, nSteps, width]` F32, per prompt, and metadata. The file appears only when it is complete. Returns the number of prompts.
 *
 * @throws SteeringError E_WRITE, E_BAD_ARGUMENT (more records than `nPrompts`), and whatever the records throw
 */
export async function saveActivations(path: string, records: AsyncIterable<ActivationRecord>, source: ActivationSource): Promise<number> {
  // The header precedes the data but is only known at the end, so space for it is reserved.
  const size = METADATA_BYTES + source.nPrompts * ENTRY_BYTES;
  const shapes = new Map<string, number[]>();
  let layers: readonly number[] = [];
  await writeAtomic(path, async (file) => {
    let position = size;
    for await (const record of records) {
      if (shapes.size === source.nPrompts) throw new SteeringError("E_BAD_ARGUMENT", `more prompts than declared (${source.nPrompts})`);
      shapes.set(`prompt.${shapes.size}`, [record.layers.length, record.nSteps, record.width]);
      layers = record.layers;
      await writeAt(file, bytesOf(record.data), position);
      position += record.data.byteLength;
    }
    const metadata = {
      format: "llama-steer-activations", format_version: "1", hook_site: source.site, layer_base: "0",
      layers: JSON.stringify(layers), model: JSON.stringify(source.model),
    };
    await writeAt(file, encodeHeader(shapes, metadata, size), 0);
  });
  return shapes.size;
}
