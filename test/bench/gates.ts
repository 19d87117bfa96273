// What a gate costs: steps of one steered generation, and of eight at once, with a gate that is always open against the same without it:
//   node dist/test/bench/gates.js [MODEL [ROUNDS [TOKENS]]]
// Both are measured in turn and in reverse in every round, in one process; a figure is the median of the rounds' ratios.
import { extract, loadDataset, loadModel, type Gate, type Model, type Steering, type VectorData } from "../../lib/index.js";
import { datasets } from "../../lib/experiments.js";
import { generateText } from "../../lib/generate/index.js";
import { randomProbe } from "../support/probes.js";
import { endless } from "./parts/endless.js";
import { measureRounds, spread } from "./parts/rounds.js";

const [name = "tiny", rounds = "9", tokens = "64"] = process.argv.slice(2);
const [N_ROUNDS, N_TOKENS] = [Number(rounds), Number(tokens)];
const AT_ONCE = [1, 8];

/** Seconds per token of some generations at once. */
async function secondsPerToken(model: Model, steer: Steering, atOnce: number): Promise<number> {
  const sampling = endless(model);
  const begun = performance.now();
  const all = await Promise.all(Array.from({ length: atOnce }, (_, i) =>
    generateText(model, `Question ${i}: what do bees make?`, { steer, maxNewTokens: N_TOKENS, sampling })));
  return (performance.now() - begun) / 1000 / all.reduce((sum, { tokens: { length } }) => sum + length, 0);
}

async function main(): Promise<void> {
  await using model = await loadModel(name);
  const folder = datasets.folder(name);
  const [positive, negative] = await Promise.all([loadDataset("ITA", folder), loadDataset("ENG", folder)]);
  const vector: VectorData = await extract(model, { positive, negative, strength: false, support: 2, maxNewTokens: 8 });
  const gate = async (layer: number): Promise<Gate> => ({ probe: await randomProbe(model, 1, { layer }), above: 0 });
  // The same layers everywhere: those after the probe.
  const layer = Math.floor(model.info.nLayer / 2);
  const layers = vector.layers.filter((each) => each >= layer);
  const steering = { vector, layers, schedule: { kind: "fixed", alpha: 0.1 } } as const;
  const settings: Record<string, Steering> = { "no gate": steering, "a gate": { ...steering, gate: await gate(layer) } };
  for (const atOnce of AT_ONCE) {
    const measured = await measureRounds(Object.fromEntries(Object.entries(settings).map(([each, steer]) =>
      [each, async () => ({ seconds: await secondsPerToken(model, steer, atOnce) })])), N_ROUNDS);
    const [plain, gated] = ["no gate", "a gate"].map((each) => measured[each]!.map(({ seconds }) => seconds)) as [number[], number[]];
    const { median, min, max } = spread(gated.map((seconds, round) => seconds / plain[round]!));
    console.log(`${name}, ${atOnce} at once: ${(1000 * spread(plain).median).toFixed(3)} ms per token without a gate, `
      + `times ${median.toFixed(3)} (${min.toFixed(3)} to ${max.toFixed(3)}) with one`);
  }
}

await main();
