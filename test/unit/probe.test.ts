import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { crossValidate, groupedFolds, mostCautious } from "../../lib/probe/cross-validation.js";
import { loadProbe, saveProbe } from "../../lib/probe/probe-file.js";
import { decodeSafetensors, type SafetensorsFile } from "../../lib/formats/safetensors.js";
import { loadVector, saveVector } from "../../lib/vector/vector-file.js";
import { seededRandom } from "../../lib/maths/random.js";
import { assertMadeFor } from "../../lib/vector/index.js";
import { probeLogit } from "../../lib/probe/index.js";
import { untrained } from "../support/probes.js";
import { temporaryFolder } from "../support/io-helpers.js";
import { changeTensors } from "../support/tensor-file.js";
import { smallVector } from "../support/vectors.js";

async function saved(probe = untrained()): Promise<string> {
  const path = join(await temporaryFolder(), "p.safetensors");
  await saveProbe(path, probe);
  return path;
}

/** A saved probe with its tensors or metadata changed. */
async function changed(change: (file: SafetensorsFile) => void): Promise<string> {
  return changeTensors(await saved(), change);
}

interface Description {
  layer: number;
  bias?: number;
  heldOut: { accuracy: number };
  provenance: { model?: object };
}

/** Change the description as an object. */
const description = (change: (probe: Description) => void) => ({ metadata }: SafetensorsFile): void => {
  const probe = JSON.parse(metadata["probe"]!) as Description;
  change(probe);
  metadata["probe"] = JSON.stringify(probe);
};

test("log odds are weights times activation plus bias; another width and what is not finite are refused", () => {
  const probe = { ...untrained(), weights: Float32Array.of(0.5, -2), bias: 0.25 };
  expect(probeLogit(probe, [3, 1])).toBe(0.5 * 3 - 2 + 0.25);
  expect(() => probeLogit(probe, [3])).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
  expect(() => probeLogit(probe, [3, NaN])).toThrow(expect.objectContaining({ code: "E_NOT_FINITE" }));
});

test("a round trip keeps everything, to the last bit", async () => {
  expect(await loadProbe(await saved())).toEqual(untrained());
  const given = untrained();
  const heldOut = {
    kind: "datasets", positive: { name: "a_test", hash: "sha256:1" }, negative: { name: "b_test", hash: "sha256:2" },
  } as const;
  const other = { ...given, provenance: { ...given.provenance, heldOut } };
  expect(await loadProbe(await saved(other))).toEqual(other);
});

test("the file: one tensor, and what the probe is", async () => {
  const { tensors, metadata } = decodeSafetensors(await readFile(await saved()), "p");
  expect([...tensors]).toEqual([["weights", { shape: [2], data: Float32Array.of(0.1, -1 / 3) }]]);
  const { probe, ...rest } = metadata;
  expect(rest).toEqual({ format: "llama-steer-probe", format_version: "1", hook_site: "resid_post", layer_base: "0" });
  expect(JSON.parse(probe!)).toMatchObject({ layer: 3, bias: 1 / 7, provenance: untrained().provenance });
});

test("cut at any byte it is E_BAD_VECTOR and names the file", async () => {
  const path = await saved();
  const bytes = await readFile(path);
  for (let length = 0; length < bytes.length; length += 7) {
    await writeFile(path, bytes.subarray(0, length));
    const outcome = await loadProbe(path).then(() => "no error", (error: Error) => error);
    expect({ length, outcome }).toEqual({
      length, outcome: expect.objectContaining({ code: "E_BAD_VECTOR", message: expect.stringContaining(path) }),
    });
  }
});

test.each([
  ["another format version", ({ metadata }: SafetensorsFile) => { metadata["format_version"] = "2"; }, /format_version/],
  ["a hook site that there is not", ({ metadata }: SafetensorsFile) => { metadata["hook_site"] = "resid_pre"; }, /hook_site/],
  [
    "no metadata", ({ metadata }: SafetensorsFile) => { for (const key of Object.keys(metadata)) delete metadata[key]; },
    /not a probe of llama-steer: metadata format/,
  ],
  ["a description that is not JSON", ({ metadata }: SafetensorsFile) => { metadata["probe"] = "{"; }, /not JSON/],
  ["no bias", description((probe) => { delete probe.bias; }), /bias/],
  ["an accuracy above 1", description((probe) => { probe.heldOut.accuracy = 1.5; }), /heldOut.accuracy/],
  ["no model", description((probe) => { delete probe.provenance.model; }), /provenance.model/],
  ["a layer below 0", description((probe) => { probe.layer = -1; }), /layer/],
  ["a layer that its model has not", description((probe) => { probe.layer = 18; }), /reads layer 18; the model that it names has 0 to 17/],
  ["no weights", ({ tensors }: SafetensorsFile) => tensors.clear(), /"weights"/],
  ["a second tensor", ({ tensors }: SafetensorsFile) => { tensors.set("more", tensors.get("weights")!); }, /"weights"/],
  [
    "weights of two dimensions",
    ({ tensors }: SafetensorsFile) => { tensors.set("weights", { shape: [1, 2], data: Float32Array.of(1, 2) }); }, /one dimension/,
  ],
  [
    "weights of no width", ({ tensors }: SafetensorsFile) => { tensors.set("weights", { shape: [0], data: new Float32Array(0) }); },
    /one dimension/,
  ],
])("%s is E_BAD_VECTOR, by name", async (_, change, message) => {
  const path = await changed(change);
  await expect(loadProbe(path)).rejects.toMatchObject({ code: "E_BAD_VECTOR", message: expect.stringMatching(message) });
  await expect(loadProbe(path)).rejects.toThrow(path);
});

test("a vector is no probe, and a probe no vector; a file that is not there is E_NOT_FOUND", async () => {
  const path = join(await temporaryFolder(), "v.safetensors");
  await saveVector(path, smallVector());
  await expect(loadProbe(path)).rejects.toMatchObject({ code: "E_BAD_VECTOR", message: expect.stringContaining("not a probe") });
  await expect(loadVector(await saved())).rejects.toMatchObject({ code: "E_BAD_VECTOR", message: expect.stringContaining("not a vector") });
  await expect(loadProbe("nowhere.safetensors")).rejects.toMatchObject({
    code: "E_NOT_FOUND", message: "probe file nowhere.safetensors does not exist",
  });
});

test("what is not finite is neither saved nor loaded", async () => {
  for (const wrong of [
    { weights: Float32Array.of(NaN, 1) }, { bias: Infinity },
  ]) await expect(saved({ ...untrained(), ...wrong })).rejects.toMatchObject({ code: "E_NOT_FINITE" });
  const path = await changed(({ tensors }) => { tensors.get("weights")!.data[1] = Infinity; });
  await expect(loadProbe(path)).rejects.toMatchObject({ code: "E_NOT_FINITE" });
});

test("another model is refused by name", () => {
  const { model } = untrained().provenance;
  assertMadeFor(untrained(), model, false, "probe");
  expect(() => assertMadeFor(untrained(), { ...model, fileHash: "other" }, false, "probe")).toThrow(
    /the probe "a vs b" was trained on another model: both are .* \(fileHash .*\)\. Train it again for this model, or pass --allow-mismatch\./,
  );
  expect(() => assertMadeFor(untrained(), { ...model, nLayer: 19 }, true, "probe")).toThrow(expect.objectContaining({
    code: "E_MODEL_MISMATCH",
  }));
});

test("folds: every row of a question is in one, and they are of about one size", () => {
  const groups = Array.from({ length: 200 }, (_, i) => `q${i % 47}`);
  const folds = groupedFolds(groups, 5, 3);
  const foldOf = new Map(groups.map((group, i) => [group, folds[i]]));
  groups.forEach((group, i) => expect(folds[i]).toBe(foldOf.get(group)));
  const sizes = [0, 1, 2, 3, 4].map((fold) => [...foldOf.values()].filter((each) => each === fold).length);
  expect(sizes.sort((a, b) => a - b)).toEqual([9, 9, 9, 10, 10]);
  expect(groupedFolds(groups, 5, 4)).not.toEqual(folds);
});

test("a row is judged by what its own fold has not taught: labels that only the group tells are not learned", async () => {
  // Every group has a pattern and a label of its own; a row of a group in both parts would be judged by its twin.
  const random = seededRandom(2);
  const groups = Array.from({ length: 120 }, (_, i) => `g${i >> 1}`);
  const patterns = Array.from({ length: 60 }, () => Float32Array.from({ length: 80 }, () => random() - 0.5));
  const rows = groups.map((_, i) => patterns[i >> 1]!);
  const labels = groups.map((_, i) => (i >> 1) % 2 === 0);
  const run = (folds: number[]) => crossValidate({ rows, labels }, folds, [0.01], async () => undefined);
  const [grouped] = await run(groupedFolds(groups, 5, 1));
  const [leaky] = await run(groups.map((_, i) => i % 2));
  expect(grouped!.auc).toBeGreaterThan(0.3);
  expect(grouped!.auc).toBeLessThan(0.7);
  expect(leaky!.auc).toBeGreaterThan(0.95);
});

test("cross-validation finds what is there", async () => {
  const random = seededRandom(4);
  const labels = Array.from({ length: 300 }, (_, i) => i % 2 === 0);
  const rows = labels.map((label) => Float32Array.from({ length: 30 }, (_, j) => random() - 0.5 + (j === 0 && label ? 0.6 : 0)));
  let pauses = 0;
  const found = await crossValidate(
    { rows, labels }, groupedFolds(labels.map((_, i) => `${i}`), 5, 1), [0.001, 1, 0.1], async () => { pauses++; },
  );
  expect(pauses).toBe(15);
  expect(found.map(({ lambda }) => lambda)).toEqual([1, 0.1, 0.001]);
  expect(found.every((each) => each.auc > 0.75)).toBe(true);
  expect(mostCautious(found).lambda).not.toBe(0.001); // one feature of 30 tells something: the rest is noise to be held down
});

test.each([
  ["the least loss where penalties cost something", [[0, 1, 0.5], [0, 0.1, 0.3], [0, 0.01, 0.4]], [0, 0.1]],
  ["the strongest penalty that costs next to nothing", [[0, 1, 0.31], [0, 0.1, 0.3], [0, 0.01, 0.295]], [0, 1]],
  ["of that penalty the layer of the least loss", [[0, 1, 0.31], [1, 1, 0.305], [2, 1, 0.308], [1, 0.1, 0.3]], [1, 1]],
  ["a layer whose weak penalty is much better", [[0, 1, 0.31], [1, 1, 0.305], [1, 0.1, 0.1]], [1, 0.1]],
] as const)("chosen is %s", (_, results, [layer, lambda]) => {
  expect(mostCautious(results.map(([ofLayer, penalty, logLoss]) => ({ layer: ofLayer, lambda: penalty, logLoss }))))
    .toMatchObject({ layer, lambda });
});
