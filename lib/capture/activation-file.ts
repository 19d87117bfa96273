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

/** What the activations of a file were captured from. */
export interface ActivationSource {
  site: HookSite;
  /** Prompts that will come. */
  nPrompts: number;
  model: ModelFingerprint;
}

/** Room for a tensor's name, shape and offsets in the header. */
const ENTRY_BYTES = 160;
const METADATA_BYTES = 8192;

/**
 * Write activations to a safetensors file as they come, one prompt in memory at a time: tensor `prompt.<i>` of
 * `[layers, nSteps, width]` F32, and metadata. The file appears whole, at the end. Returns the number of prompts.
 *
 * @throws SteeringError E_WRITE, and whatever the records throw
 */
export async function saveActivations(path: string, records: AsyncIterable<ActivationRecord>, source: ActivationSource): Promise<number> {
  // The header comes first but is known last: its place is set aside.
  const size = METADATA_BYTES + source.nPrompts * ENTRY_BYTES;
  const shapes = new Map<string, number[]>();
  let layers: readonly number[] = [];
  await writeAtomic(path, async (file) => {
    let position = size;
    for await (const record of records) {
      if (shapes.size === source.nPrompts) throw new SteeringError("E_BAD_ARGUMENT", `more than the ${source.nPrompts} prompts that were announced`);
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
