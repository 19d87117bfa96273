// What the programs here share: one model, and a vector that makes it answer in Italian.
import { gallery, loadModel, loadSteering, prompts } from "llama-steer";
import { evaluate } from "llama-steer/experiments";

const model = await loadModel("tiny");
const steer = await loadSteering(`${await gallery.pull("tiny-italian")}:fixed,1`);

/** An answer in one line, and the language that it is in. */
export async function answer(question) {
  const text = await model.generate(await prompts.tokens(model, question), { steer, maxNewTokens: 20, stop: ["\n"] }).text();
  const { language } = await evaluate.detectLanguage(text);
  return { text, language };
}
