// A user's program: one steered answer.
import { gallery, loadModel, loadSteering, prompts } from "llama-steer";

const model = await loadModel("tiny");
const steer = await loadSteering(`${await gallery.pull("tiny-italian")}:fixed,1`);
const question = await prompts.tokens(model, "How do I plan the picnic?");
const answer = model.generate(question, { steer, maxNewTokens: 20, stop: ["\n"] });
for await (const { text } of answer) process.stdout.write(text);
model.dispose();
