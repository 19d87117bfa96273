// Two properties at once, measured: how many answers are Italian, how many are informal, how many are both?
//   node both.mjs [MODEL] [CLASSIFIER]
import { compose, extract, loadDataset, loadModel, prompts, schedule } from "llama-steer";
import { datasets, evaluate, loadClassifier } from "llama-steer/experiments";

const [name = "tiny", judge = "tiny-formality"] = process.argv.slice(2);
const model = await loadModel(name);
const classifier = await loadClassifier(judge);
const load = (dataset) => loadDataset(dataset, datasets.folder(name));
const italian = await extract(model, { positive: await load("ITA"), negative: await load("ENG") });
const informal = await extract(model, { positive: await load("ENf2i"), negative: await load("ENi2f") });

const settings = {
  unsteered: [],
  Italian: compose(italian.with(schedule.fixed(1))),
  informal: compose(informal.with(schedule.fixed(1))),
  both: compose(italian.with(schedule.fixed(1)), informal.with(schedule.fixed(1))),
  "both, Dyn": compose(italian.with(schedule.dynamic({ topP: 0.9 })), informal.with(schedule.dynamic({ topP: 0.9 }))),
};
const questions = (await load("ENG_test")).rows.slice(0, 10).map(({ input }) => prompts.question(input));

const table = {};
for (const [setting, steer] of Object.entries(settings)) {
  // all at once
  const answers = await Promise.all(questions.map(
    (question) => model.generate(question, { steer, maxNewTokens: 30, stop: ["\n"] }).text(),
  ));
  const registers = await classifier.classify(answers.map((answer) => answer.trim() || "."));
  const languages = await Promise.all(answers.map((answer) => evaluate.detectLanguage(answer)));
  const isItalian = languages.map(({ language }) => language === "ita");
  const isInformal = registers.map(({ label }) => label === "informal");
  const count = (of) => of.filter(Boolean).length;
  table[setting] = {
    Italian: count(isItalian), informal: count(isInformal), both: count(isItalian.map((is, i) => is && isInformal[i])), of: answers.length,
  };
}
console.table(table);

classifier.dispose();
model.dispose();
