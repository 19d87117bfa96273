// Generates with the addon that LLAMA_STEER_ADDON names: node addon-child.js MODEL TOKENS THREADS
// Started by test/bench/addons.ts, which sends a `Load` at a time and gets its seconds per token.
import { loadModel } from "../../../lib/index.js";
import { generateText } from "../../../lib/generate/index.js";
import { randomVector } from "../../support/tiny-files.js";
import { endless } from "./endless.js";
import { DYNAMIC, FIXED } from "./subject.js";

/** What is generated, how often at once. */
export interface Load {
  schedule: "none" | "Fixed" | "Dyn";
  atOnce: number;
}

const [path, tokens, threads] = process.argv.slice(2);
const model = await loadModel(path!, { threads: Number(threads), contextSize: 4096, maxSequences: 24 });
const vector = await randomVector(model, 1, { scale: 0.02 });
const sampling = endless(model);

async function secondsPerToken({ schedule, atOnce }: Load): Promise<number> {
  const steer = { none: [], Fixed: [{ vector, schedule: FIXED }], Dyn: [{ vector, schedule: DYNAMIC }] }[schedule];
  const begun = performance.now();
  await Promise.all(Array.from({ length: atOnce }, (_, i) => generateText(model, `Question ${i}: what do bees make?`, {
    steer, sampling, maxNewTokens: Number(tokens), pipeline: "off",
  })));
  return (performance.now() - begun) / 1000 / (atOnce * Number(tokens));
}

process.on("message", (load: Load) => void secondsPerToken(load).then((seconds) => process.send!(seconds)));
