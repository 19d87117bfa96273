// An answer that changes its language on the way: steering is changed between tokens.
//   node switch.mjs [MODEL]
import { extract, loadDataset, loadModel, prompts, schedule } from "llama-steer";
import { datasets } from "llama-steer/experiments";

const name = process.argv[2] ?? "tiny";
const model = await loadModel(name);
const english = await loadDataset("ENG", datasets.folder(name));
const towards = async (language) => extract(model, { positive: await loadDataset(language, datasets.folder(name)), negative: english });
const [italian, french] = [await towards("ITA"), await towards("FRA")];

const answer = model.generate(
  prompts.question("How do I plan the picnic?"), { steer: italian.with(schedule.fixed(1)), maxNewTokens: 60, stop: ["\n"] },
);
let hasSwitched = false;
for await (const { text } of answer) {
  process.stdout.write(text);
  if (hasSwitched || !text.includes(".")) continue;
  hasSwitched = true;
  answer.steering[0].drop(); // Italian to the first full stop,
  await answer.add(french.with(schedule.fixed(1.5))); // French from the next token on
  process.stdout.write(" |");
}
process.stdout.write("\n");

console.log((await answer.result()).steering.map(({ vector, schedule: { kind } }) => `${vector}: ${kind}`));
model.dispose();
