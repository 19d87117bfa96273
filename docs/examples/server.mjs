// A server that steers: one model, any number of requests at once, each with its own vectors and intensity.
//   node server.mjs [MODEL] [PORT]
//   curl -N localhost:3000 -d '{ "question": "How do I plan the picnic?", "steer": { "ITA": 1 } }'
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { extract, loadDataset, loadModel, prompts, schedule, SteeringError } from "llama-steer";
import { datasets } from "llama-steer/experiments";

const name = process.argv[2] ?? "tiny";
const model = await loadModel(name, { maxSequences: 32, contextSize: 8192 });
const negative = await loadDataset("ENG", datasets.folder(name));
const vectors = new Map();
for (const property of ["ITA", "FRA", "ENi2f"]) {
  vectors.set(property, await extract(model, { positive: await loadDataset(property, datasets.folder(name)), negative }));
}

/** Vectors for `{ "ITA": 1, "ENi2f": 0.5 }`: the behaviour, and how strongly. */
function steering(wanted = {}) {
  return Object.entries(wanted).map(([property, alpha]) => {
    const vector = vectors.get(property);
    if (!vector) throw new SteeringError("E_BAD_ARGUMENT", `there is no "${property}"; there are ${[...vectors.keys()].join(", ")}`);
    return vector.with(schedule.fixed(alpha));
  });
}

const server = createServer(async (request, response) => {
  const left = new AbortController();
  response.on("close", () => left.abort()); // nobody listens any more: the model stops at the next token
  try {
    const { question, steer } = JSON.parse(await text(request));
    const answer = model.generate(prompts.question(question), { steer: steering(steer), maxNewTokens: 100, stop: ["\n"], signal: left.signal });
    for await (const token of answer) response.write(token.text);
  } catch (error) {
    if (!left.signal.aborted && !response.headersSent) response.writeHead(400);
    response.write(`${error.message}\n`);
  }
  response.end();
});

server.listen(Number(process.argv[3] ?? 3000), () => console.log(`listening on port ${server.address().port}`));
process.once("SIGTERM", () => {
  server.closeAllConnections();
  server.close(() => model.dispose());
});
