import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { decodeSafetensors, type SafetensorsFile, type Tensor } from "../../lib/formats/safetensors.js";
import { loadVector, saveVector } from "../../lib/vector/vector-file.js";
import type { IclOrigin, Provenance, VectorData } from "../../lib/vector/index.js";
import { temporaryFolder } from "../support/io-helpers.js";
import { changeTensors } from "../support/tensor-file.js";
import { smallVector } from "../support/vectors.js";

async function saved(vector = smallVector()): Promise<string> {
  const path = join(await temporaryFolder(), "v.safetensors");
  await saveVector(path, vector);
  return path;
}

/** A saved vector with its tensors or metadata changed. */
async function changed(change: (file: SafetensorsFile) => void): Promise<string> {
  return changeTensors(await saved(), change);
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  const bytes = (array: Float32Array): Buffer => Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  return bytes(a).equals(bytes(b));
}

test("a round trip keeps everything, the values bit for bit", async () => {
  const vector = smallVector();
  vector.data.set([-0, 1e-45, 3.4028234663852886e38, -1 / 3]);
  const read = await loadVector(await saved(vector));
  expect({ ...read, data: undefined }).toEqual({ ...vector, data: undefined });
  expect(sameBits(read.data, vector.data)).toBe(true);
});

test("the file: one tensor per layer by its own index, and what the vector is", async () => {
  const { tensors, metadata } = decodeSafetensors(await readFile(await saved()), "v");
  expect([...tensors]).toEqual([
    ["layer.0", { shape: [2, 3], data: Float32Array.of(0.5, 1.5, 2.5, 10.5, 11.5, 12.5) }],
    ["layer.2", { shape: [2, 3], data: Float32Array.of(200.5, 201.5, 202.5, 210.5, 211.5, 212.5) }],
  ]);
  const { provenance, ...rest } = metadata;
  expect(rest).toEqual({ format: "llama-steer-vector", format_version: "2", operation: "add", hook_site: "head_out", layer_base: "0" });
  expect(JSON.parse(provenance!)).toEqual(smallVector().provenance);
});

test("layers come in ascending order, whatever their order in the file", async () => {
  const one = (value: number): Tensor => ({ shape: [1, 3], data: Float32Array.of(value, value, value) });
  const path = await changed(({ tensors }) => {
    tensors.clear();
    for (const layer of [10, 9, 2]) tensors.set(`layer.${layer}`, one(layer));
  });
  const { layers, data } = await loadVector(path);
  expect(layers).toEqual([2, 9, 10]);
  expect([...data]).toEqual([2, 2, 2, 9, 9, 9, 10, 10, 10]);
});

test("cut at any byte it is E_BAD_VECTOR and names the file", async () => {
  const path = await saved();
  const bytes = await readFile(path);
  for (let length = 0; length < bytes.length; length++) {
    await writeFile(path, bytes.subarray(0, length));
    const outcome = await loadVector(path).then(() => "no error", (error: Error) => error);
    expect({ length, outcome }).toEqual({
      length, outcome: expect.objectContaining({ code: "E_BAD_VECTOR", message: expect.stringContaining(path) }),
    });
  }
});

test("a file of format version 1, whose provenance knew one origin, is read", async () => {
  const path = await changed(({ metadata }) => {
    const { origin: { kind: _, ...origin }, ...rest } = smallVector().provenance as Provenance & { origin: IclOrigin };
    metadata["format_version"] = "1";
    metadata["provenance"] = JSON.stringify({ ...rest, ...origin });
  });
  expect((await loadVector(path)).provenance).toEqual(smallVector().provenance);
});

test.each([
  ["another format version", ({ metadata }: SafetensorsFile) => { metadata["format_version"] = "3"; }, /format_version/],
  ["another kind of file", ({ metadata }: SafetensorsFile) => { metadata["format"] = "pt"; }, /metadata format/],
  ["another operation", ({ metadata }: SafetensorsFile) => { metadata["operation"] = "ablate"; }, /operation/],
  ["a hook site that there is not", ({ metadata }: SafetensorsFile) => { metadata["hook_site"] = "resid_pre"; }, /hook_site/],
  ["layers counted from 1", ({ metadata }: SafetensorsFile) => { metadata["layer_base"] = "1"; }, /layer_base/],
  [
    "no metadata", ({ metadata }: SafetensorsFile) => { for (const key of Object.keys(metadata)) delete metadata[key]; },
    /not a vector of llama-steer: metadata format/,
  ],
  ["no provenance", ({ metadata }: SafetensorsFile) => { delete metadata["provenance"]; }, /provenance/],
  ["a provenance that is not JSON", ({ metadata }: SafetensorsFile) => { metadata["provenance"] = "{"; }, /provenance is incomplete/],
  ["a provenance without a model", ({ metadata }: SafetensorsFile) => { metadata["provenance"] = "{}"; }, /provenance is incomplete/],
  ["no layer", ({ tensors }: SafetensorsFile) => tensors.clear(), /no layer with values/],
  [
    "a layer of no steps",
    ({ tensors }: SafetensorsFile) => { tensors.clear(); tensors.set("layer.0", { shape: [0, 3], data: new Float32Array(0) }); },
    /no layer with values/,
  ],
  [
    "a tensor of another name", ({ tensors }: SafetensorsFile) => { tensors.set("blk.0", tensors.get("layer.0")!); },
    /unexpected tensor "blk.0"/,
  ],
  [
    "a layer of no number", ({ tensors }: SafetensorsFile) => { tensors.set("layer.-1", tensors.get("layer.0")!); },
    /unexpected tensor "layer.-1"/,
  ],
  [
    "a layer that is there already", ({ tensors }: SafetensorsFile) => { tensors.set("layer.00", tensors.get("layer.0")!); },
    /unexpected tensor "layer.00"/,
  ],
  [
    "a layer beyond all models", ({ tensors }: SafetensorsFile) => { tensors.set("layer.99999999999999999999", tensors.get("layer.0")!); },
    /unexpected tensor/,
  ],
  [
    "layers of several shapes", ({ tensors }: SafetensorsFile) => { tensors.set("layer.3", { shape: [3, 2], data: new Float32Array(6) }); },
    /layer 3 has shape \[3, 2\]; expected \[2, 3\]/,
  ],
  [
    "a layer of three dimensions",
    ({ tensors }: SafetensorsFile) => { tensors.set("layer.3", { shape: [2, 3, 1], data: new Float32Array(6) }); },
    /layer 3 has shape \[2, 3, 1\]/,
  ],
])("%s is E_BAD_VECTOR, by name", async (_, change, message) => {
  const path = await changed(change);
  await expect(loadVector(path)).rejects.toMatchObject({
    name: "SteeringError", code: "E_BAD_VECTOR", message: expect.stringMatching(message),
  });
  await expect(loadVector(path)).rejects.toThrow(path);
});

test.each([NaN, Infinity, -Infinity])("%d anywhere is E_NOT_FINITE", async (value) => {
  for (const place of [0, 11]) {
    const vector = smallVector();
    vector.data[place] = value;
    await expect(saved(vector).then(loadVector)).rejects.toMatchObject({ code: "E_NOT_FINITE" });
  }
});

test("what is not there, or is a folder, is E_NOT_FOUND and says which", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "file");
  await writeFile(file, "");
  for (const [path, reason] of [
    [join(folder, "no.safetensors"), "does not exist"], [folder, "is a directory"], [join(file, "v"), "cannot be read (ENOTDIR)"],
    ["", "does not exist"],
  ] as const) {
    await expect(loadVector(path)).rejects.toMatchObject({ code: "E_NOT_FOUND", message: `vector file ${path} ${reason}` });
  }
});

test("saving makes missing folders and leaves only the file", async () => {
  const folder = join(await temporaryFolder(), "a", "b");
  await saveVector(join(folder, "v.safetensors"), smallVector());
  expect(await readdir(folder)).toEqual(["v.safetensors"]);
});

test("saving over a vector replaces it as a whole", async () => {
  const path = await saved();
  const shorter = { ...smallVector(), layers: [1], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
  await saveVector(path, shorter);
  const { layers, data } = await loadVector(path);
  expect({ layers, data: [...data] }).toEqual({ layers: [1], data: [1, 2, 3, 4, 5, 6] });
});

test("a save that fails leaves no partial file and what was there before", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "file");
  await writeFile(file, "kept");
  const target = join(folder, "target");
  await mkdir(target);
  await writeFile(join(target, "inside"), "kept");
  for (const path of [join(file, "v.safetensors"), join(file, "a", "v.safetensors"), target]) {
    await expect(saveVector(path, smallVector())).rejects.toThrow();
  }
  expect((await readdir(folder)).sort()).toEqual(["file", "target"]);
  expect(await readFile(file, "utf8")).toBe("kept");
  expect(await readdir(target)).toEqual(["inside"]);
});

test.each<[string, (vector: VectorData) => VectorData, RegExp]>([
  ["a layer that its model has not", (vector) => ({ ...vector, layers: [0, 18] }), /has a layer 18; the model that it names has 0 to 17/],
  [
    "a width that is no multiple of its heads",
    (vector) => ({ ...vector, provenance: { ...vector.provenance, model: { ...vector.provenance.model, nHead: 2 } } }),
    /width 3 at head_out; the model that it names has 2 heads/,
  ],
  [
    "a width other than its model's", (vector) => ({ ...vector, site: "resid_post" }),
    /width 3 at resid_post; the model that it names has nEmbd 640/,
  ],
])("%s is E_BAD_VECTOR", async (_, change, message) => {
  const path = join(await temporaryFolder(), "unfit.safetensors");
  await saveVector(path, change(smallVector()));
  await expect(loadVector(path)).rejects.toMatchObject({ code: "E_BAD_VECTOR", message: expect.stringMatching(message) });
});

test("shapes are read before room is made for them", async () => {
  const path = await changed(({ tensors }) => {
    tensors.clear();
    tensors.set("layer.0", { shape: [1, 1_000_000], data: new Float32Array(1_000_000) });
    for (let layer = 1; layer < 9000; layer++) tensors.set(`layer.${layer}`, { shape: [1, 1], data: new Float32Array(1) });
  });
  await expect(loadVector(path)).rejects.toMatchObject({
    code: "E_BAD_VECTOR", message: expect.stringMatching(/layer 1 has shape \[1, 1\]/),
  });
});
