import { expect, test } from "@jest/globals";
import { vectors } from "../../lib/experiments.js";
import { extract, type Dataset } from "../../lib/index.js";
import { generateText } from "../../lib/generate/index.js";
import { encodeNpy } from "../../lib/formats/npy.js";
import { architectureForFile } from "../support/file-model.js";
import { architectureShape } from "../support/tiny-architectures.js";

// Multi-head latent attention: the metadata's value_length is the width of what the cache holds, and W_O's input is narrower.
const { nHead, dHead, nLayer } = architectureShape("deepseek2");
const { model } = await architectureForFile("deepseek2");

function dataset(name: string, outputs: string[]): Dataset {
  return {
    name, instruction: "Answer.", rows: ["q", "r", "s", "t", "u", "w"].map((input, i) => ({ input, output: outputs[i % outputs.length]! })),
  };
}

test("the width of a head is W_O's, not the metadata's", () => {
  expect(model.info.dHead).toBe(dHead);
  expect(model.siteWidth("head_out")).toBe(nHead * dHead);
});

test.each(["mean", "probe", "pca"] as const)("vectors of method %s at head_out have it, whole and aligned, and steer", async (method) => {
  const [positive, negative] = [dataset("a", ["yes it is", "good", "fine one"]), dataset("b", ["no way", "bad", "not so"])];
  const vector = await extract(model, { strength: false, method, site: "head_out", positive, negative });
  expect([vector.width, vector.data.length]).toEqual([nHead * dHead, nLayer * nHead * dHead]);
  const icl = method === "mean" ? await extract(
    model, { strength: false, method: "icl", support: 2, maxNewTokens: 2, iclExamples: 1, positive, negative },
  ) : vector;
  expect(icl.width).toBe(vector.width);
  await expect(generateText(model, "Hello", { maxNewTokens: 2, steer: [vector.with({ kind: "fixed", alpha: 1 })] })).resolves.toBeDefined();
});

test("a published delta of W_O's width is taken, and one of the metadata's refused", async () => {
  const fingerprint = await model.fingerprint();
  const imported = (width: number) => vectors.importPublished(
    encodeNpy({ shape: [1, nLayer, nHead, width], data: new Float32Array(nLayer * nHead * width).fill(0.01) }),
    { name: "x.npy", model: fingerprint, dHead: model.info.dHead },
  );
  expect(imported(dHead).width).toBe(nHead * dHead);
  expect(() => imported(32)).toThrow(expect.objectContaining({ code: "E_SHAPE", message: expect.stringContaining("width 32") }));
});
