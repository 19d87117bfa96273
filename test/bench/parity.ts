// How closely we agree with the PyTorch implementation, in figures: npm run parity [-- MODEL [TYPE [RESULTS]]]
// With a number of results, it compares only so many, and no extractions.
import { readFile, writeFile } from "node:fs/promises";
import { loadModel, type LoadModelOptions } from "../../lib/index.js";
import { findPullable } from "../../lib/models/pull.js";
import { modelPath } from "../../lib/models/registry.js";
import { withMatricesAs } from "../support/gguf-reader.js";
import type { TensorType } from "../support/gguf-writer.js";
import { loadGolden, Parity } from "../support/golden.js";
import { scratch } from "../support/tiny-files.js";

const EXACT = {
  kvType: "f32", flashAttention: false, vet: false, gpuLayers: 0, maxSequences: 32, contextSize: 8192,
} satisfies LoadModelOptions;
using space = scratch();
const [onlyModel, onlyType, nResults = "Infinity"] = process.argv.slice(2);

for (const [name, goldenName, types] of [
  ["tiny", "tiny", ["F32", "Q8_0", "Q4_0", "as it is"]], ["smollm2-135m", "smollm2", ["F32", "as it is"]],
] as const) {
  if (onlyModel !== undefined && onlyModel !== name) continue;
  const golden = await loadGolden(goldenName);
  for (const type of types) {
    if (onlyType !== undefined && onlyType !== type) continue;
    const file = modelPath(findPullable(name));
    const path = type === "as it is" ? file : space.path(`${name}-${type}.gguf`);
    if (type !== "as it is") await writeFile(path, withMatricesAs(await readFile(file), type satisfies TensorType));
    await using model = await loadModel(path, EXACT);
    const parity = new Parity(model, golden);
    const worst = async (forced: boolean): Promise<string> => {
      const found = await Promise.all([...golden.deltas.keys()].map((property) => parity.compareDelta(property, { forced })));
      return `${Math.min(...found.map(({ cosine }) => cosine)).toFixed(7)} (relative error ${Math.max(
        ...found.map(({ error }) => error),
      ).toExponential(1)})`;
    };
    const isWhole = nResults === "Infinity";
    const deltas = isWhole ? `deltas' cosine ≥ ${await worst(false)}, behind the same tokens ≥ ${await worst(true)}; ` : "";
    const compared = golden.results.slice(0, Number(nResults));
    const results = await Promise.all(compared.map((result) => parity.result(result)));
    let [same, alphaError, klError, pplError] = [0, 0, 0, 0];
    for (const [i, { tokens, readings, delta }] of results.entries()) {
      const expected = compared[i]!;
      if (String(tokens) !== String(expected.tokens)) continue;
      same++;
      pplError = Math.max(pplError, Math.abs(delta - expected.delta_perplexity) / expected.perplexity);
      for (const [step, list] of readings.entries()) {
        for (const [property, { alpha, kl }] of list.entries()) {
          alphaError = Math.max(alphaError, Math.abs(alpha - expected.alphas[property]![step]!));
          if (kl !== null) klError = Math.max(klError, Math.abs(kl - expected.kls[property]![step]!));
        }
      }
    }
    console.log(`${name} ${type}: ${deltas}same tokens ${same}/${results.length}; `
      + `of these alpha ± ${alphaError.toExponential(1)}, KL ± ${klError.toExponential(1)}, ΔPPL ± ${(100 * pplError).toFixed(3)} %`);
  }
}
