// What a start costs, in a process of its own, as JSON: node start-child.js PATH [rss]
// With `rss`, also fills a batch with a prompt and decodes 8 generations, so that all memory is in use that a program would use.
import { loadModel, prompts } from "../../../lib/index.js";

const [path, threads, wanted] = process.argv.slice(2);
const begun = performance.now();
const model = await loadModel(path!, { threads: Number(threads) });
const loaded = (performance.now() - begun) / 1000;
if (wanted === "rss") {
  const question = prompts.question("Why do leaves change colour in autumn?");
  const nRepeats = Math.ceil(512 / model.tokenise(question).length) + 1;
  await model.generate(question.repeat(nRepeats), { maxNewTokens: 1 }).result();
  await Promise.all(Array.from({ length: 8 }, () => model.generate(question, { maxNewTokens: 4 }).result()));
}
process.stdout.write(JSON.stringify({ loaded, rss: process.memoryUsage.rss() }));
model.dispose();
