// Tokens per second unsteered, Fixed and Dyn, interleaved so that a machine's drift hits all alike:
//   npm run bench [-- MODEL [VECTOR]]
// Prints the median and range over rounds, and the ratio to unsteered round by round.
import { extract, generateText, loadDataset, loadModel, loadVector, questionPrompt, type Schedule, type SteeringVector, type Model } from "../../lib/index.js";

const ROUNDS = 7;
const TOKENS = 64;

const [name = "gemma3-270m", vectorPath] = process.argv.slice(2);
const model = await loadModel(name);
const vector = vectorPath ? await loadVector(vectorPath) : await smallVector(model);

const settings: Record<string, Schedule[]> = {
  unsteered: [],
  "Fixed 1.5": [{ kind: "fixed", alpha: 1.5 }],
  "Dyn p=0.5": [dynamic()],
  "Dyn × 2": [dynamic(), dynamic()],
};
const rates = new Map(Object.keys(settings).map((label): [string, number[]] => [label, []]));
for (let round = -1; round < ROUNDS; round++) { // the first round warms up
  for (const [label, schedules] of Object.entries(settings)) {
    const steer = schedules.map((schedule) => ({ vector, schedule }));
    const { tokens, seconds } = await generateText(model, questionPrompt("Why do leaves change colour in autumn?"), { steer, maxNewTokens: TOKENS });
    if (round >= 0) rates.get(label)!.push(tokens.length / seconds);
  }
}
model.dispose();

const unsteered = rates.get("unsteered")!;
console.log(`${name}, ${TOKENS} tokens, ${ROUNDS} rounds: tokens/s median (min–max), ratio to unsteered median (min–max)`);
for (const [label, list] of rates) {
  const ratios = list.map((rate, round) => rate / unsteered[round]!);
  console.log(`${label.padEnd(10)} ${summary(list, 1)}   ${summary(ratios, 2)}`);
}

function dynamic(): Schedule {
  return { kind: "dynamic", topP: 0.5, alphaMax: 2, strongAlpha: 2, klReduction: "mean" };
}

function summary(values: number[], digits: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  const [median, min, max] = [sorted[Math.floor(sorted.length / 2)]!, sorted[0]!, sorted.at(-1)!].map((value) => value.toFixed(digits));
  return `${median} (${min}–${max})`;
}

async function smallVector(loaded: Model): Promise<SteeringVector> {
  return extract(loaded, { positive: await loadDataset("ITA"), negative: await loadDataset("ENG"), support: 2 });
}
