import { afterAll, expect, test } from "@jest/globals";
import { vectors } from "../../lib/experiments.js";
import { SteeringVector, type Model } from "../../lib/index.js";
import { Batch, type Context } from "../../lib/engine/index.js";
import { readGguf } from "../support/gguf-reader.js";
import { allLayers, loadArchitecture, maxDifference, randomVector, scratch } from "../support/tiny-files.js";

const space = scratch();
afterAll(() => space[Symbol.dispose]());

const PROMPT = [1, 70, 103, 35, 118];

/** The buffer that llama.cpp fills from such a file: direction.<n> at n − 1, for block n of those counted from 0. */
function asLlamaCppReads(bytes: Uint8Array, nLayer: number, nEmbd: number): Float32Array {
  const buffer = new Float32Array((nLayer - 1) * nEmbd);
  for (const { name, data } of readGguf(Buffer.from(bytes)).tensors) buffer.set(data, (Number(name.split(".")[1]) - 1) * nEmbd);
  return buffer;
}

async function logits(model: Model, context: Context, vector?: SteeringVector): Promise<Float32Array> {
  const batch = new Batch();
  PROMPT.forEach(
    (token, position) => batch.add(
      token, position, 0, { output: true, ...(vector && { terms: [{ vector: model.vectorHandle(vector), step: 0, alpha: 1 }] }) },
    ),
  );
  await context.decode(batch);
  return context.logits(PROMPT.length - 1);
}

test.each([["all layers", undefined], ["one layer", [1]]])("a control vector of %s, written and read, is to the last bit what llama.cpp "
  + "adds from the file", async (_, chosen) => {
  const model = await loadArchitecture(space, "llama");
  const layers = chosen ?? allLayers(model).slice(1);
  const vector = new SteeringVector(await randomVector(model, 8, { site: "resid_post", layers, nSteps: 1 }));
  const bytes = vectors.exportControlVector(vector, 1.5);
  const read = vectors.importControlVector(bytes, { name: "v.gguf", model: await model.fingerprint() });
  expect([read.site, read.layers, read.nSteps, read.data]).toEqual(["resid_post", layers, 1, vector.scale(1.5).data]);
  using ours = await model.createContext({ nCtx: 64, nSeqMax: 1 });
  using theirs = await model.createContext({ nCtx: 64, nSeqMax: 1 });
  using clean = await model.createContext({ nCtx: 64, nSeqMax: 1 });
  theirs.setControlVector(asLlamaCppReads(bytes, model.info.nLayer, model.info.nEmbd));
  const [steered, expected, unsteered] = [await logits(model, ours, read), await logits(model, theirs), await logits(model, clean)];
  expect(steered).toEqual(expected);
  expect(maxDifference(steered, unsteered)).toBeGreaterThan(0.01);
  model.dispose();
});
