// A server that steers: one model, any number of requests at once, each with its own vectors and intensity.
//   node server.mjs [MODEL] [PORT]
//   curl -N localhost:3000 -d '{ "question": "How do I plan the picnic?", "steer": { "ITA": 1 } }'
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { extract, loadDataset, loadModel, prompts, schedule, SteeringError } from "llama-steer";
import { datasets } from "llama-steer/experiments";

const name = process.argv[2] ?? "tiny";
const model = await loadModel(name, { maxSequences: 32, contextSize: 8192 });
const PROPERTIES = ["ITA", "FRA", "ENi2f"];
const vectors = new Map();

/** The vector of a behaviour, extracted when it is first asked for; other requests are answered meanwhile. */
function vectorOf(property) {
  if (!PROPERTIES.includes(property)) {
    throw new SteeringError("E_BAD_ARGUMENT", `there is no "${property}"; there are ${PROPERTIES.join(", ")}`);
  }
  if (!vectors.has(property)) vectors.set(property, makeVector(property));
  return vectors.get(property);
}

async function makeVector(property) {
  const [positive, negative] = await Promise.all([property, "ENG"].map((each) => loadDataset(each, datasets.folder(name))));
  return extract(model, {
    positive, negative,
    onProgress: (done, total) => process.stderr.write(`\r${property}: ${Math.round((100 * done) / total)} % `),
  });
}

/** Vectors for `{ "ITA": 1, "ENi2f": 0.5 }`: the behaviour, and how strongly. */
async function steering(wanted = {}) {
  return Promise.all(Object.entries(wanted).map(async ([property, alpha]) => (await vectorOf(property)).with(schedule.fixed(alpha))));
}

const server = createServer(async (request, response) => {
  const left = new AbortController();
  response.on("close", () => left.abort()); // nobody listens any more: the model stops at the next token
  try {
    const { question, steer } = JSON.parse(await text(request));
    const prompt = await prompts.tokens(model, question); // in the model's own format
    const answer = model.generate(prompt, { steer: await steering(steer), maxNewTokens: 100, stop: ["\n"], signal: left.signal });
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
