// Draws docs/figures/tokens.svg: answers of the demo's default model under Dyn, with the alpha of every token, as in a report.
//   node dist/test/bench/token-strip.js [MODEL VECTOR] > docs/figures/tokens.svg
import { gallery, loadModel, prompts, schedule, SteeringVector } from "../../lib/index.js";
import { tokensFigure, type TokenSample } from "../../lib/report/figures/tokens.js";
import { renderSvg, svgFile } from "../../lib/report/render.js";

const [MODEL = "qwen2.5-coder-1.5b-instruct", VECTOR = "qwen2.5-coder-1.5b-italian"] = process.argv.slice(2);
const QUESTIONS = [
  "Why do leaves change colour in autumn?",
  "What should I pack for a weekend in the mountains?",
  "How can I save money on groceries?",
];
const [topP, alphaMax, maxNewTokens] = [0.5, 1, 28];

await using model = await loadModel(MODEL);
const italian = await SteeringVector.load(await gallery.pull(VECTOR));
const steer = italian.with(schedule.dynamic({ topP, alphaMax, strongAlpha: alphaMax }));
const samples: TokenSample[] = await Promise.all(QUESTIONS.map(async (question) => {
  const { tokens } = await model.generate(await prompts.tokens(model, question), { steer, maxNewTokens }).result();
  return { question, pieces: tokens.map(({ text, readings }) => ({ text, alphas: readings.map(({ alpha }) => alpha), isKept: true })) };
}));
const figure = tokensFigure(samples, {
  setting: `Dyn p=${topP}`, properties: ["Italian"], alphaMax, subtitle: `${MODEL}, English questions`, hasTexts: true,
});
if (!("chart" in figure)) throw new Error("there is nothing to draw");
process.stdout.write(svgFile(await renderSvg(figure.chart!, figure.id, figure.alt)));
