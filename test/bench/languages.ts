// How many answers turn Italian, and how fast they are: unsteered, Fixed and Dyn, with a vector from demonstrations.
//   node dist/test/bench/languages.js [MODEL [QUESTIONS [SUPPORT]]]
import { datasets, experiment } from "../../lib/experiments.js";
import { extract, loadDataset, loadModel, schedule } from "../../lib/index.js";

const [name = "tiny", count = "20", support = "30"] = process.argv.slice(2);
const folder = datasets.folder(name);
await using model = await loadModel(name);
const vector = await extract(model, {
  positive: await loadDataset("ITA", folder), negative: await loadDataset("ENG", folder), strength: false,
  support: Number(support),
});
const questions = (await loadDataset("ITA_test", folder)).rows.slice(0, Number(count)).map(({ input }) => input);
const answers = await experiment.compare(model, questions, [
  { label: "unsteered", steer: [] },
  { label: "Fixed 1.5", steer: [vector.with(schedule.fixed(1.5))] },
  { label: "Dyn p=0.5", steer: [vector.with(schedule.dynamic({ topP: 0.5 }))] },
  { label: "Dyn p=0.3", steer: [vector.with(schedule.dynamic({ topP: 0.3 }))] },
], { format: "qa", maxNewTokens: 30 });
for (const { setting, hits, n, tokensPerSecond } of experiment.summarise(answers, "ita")) {
  console.log(`${setting.padEnd(10)} ${hits} of ${n}   ${tokensPerSecond.toFixed(1)} tokens/s`);
}
