import { readFile, writeFile } from "node:fs/promises";
import { decodeSafetensors, encodeSafetensors, type SafetensorsFile } from "../../lib/formats/safetensors.js";

/** Change the tensors or the metadata of a file, and write it again. */
export async function changeTensors(path: string, change: (file: SafetensorsFile) => void): Promise<string> {
  const file = decodeSafetensors(await readFile(path), path);
  change(file);
  await writeFile(path, encodeSafetensors(file));
  return path;
}
