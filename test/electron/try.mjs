// What prove.ts tries in an Electron application, in the main process and in a utility process.
import { gallery, loadDataset, loadModel, loadSteering, prompts } from "llama-steer";

const { TRY_CHAT, TRY_CRASHING, TRY_DATASET } = process.env;

/** Returns what each attempt gave: its value, or its error. */
export async function tryAll() {
  const outcomes = {};
  for (const [name, attempt] of Object.entries(attempts)) outcomes[name] = await outcomeOf(attempt);
  return outcomes;
}

export function outcomeOf(attempt) {
  return attempt().catch(({ code, message }) => `${code} ${message}`);
}

const attempts = {
  unsteered: () => answer(),
  steered: async () => answer(await loadSteering(`${await gallery.pull("tiny-italian")}:fixed,1`)),
  crashing: () => loadModel(TRY_CRASHING),
  chat: () => using(TRY_CHAT, async (model) => {
    const tokens = await prompts.chatTokens(model, [{ role: "user", content: "Hi there" }]);
    return String(model.detokenise(tokens)); // without the template's special tokens
  }),
  dataset: async () => (await loadDataset(TRY_DATASET)).rows[0].output,
};

function answer(steer) {
  return using("tiny", async (model) => {
    const question = await prompts.tokens(model, "How do I plan the picnic?");
    return (await model.generate(question, { steer, stop: ["\n"], maxNewTokens: 20 }).text()).trim();
  });
}

async function using(name, act) {
  const model = await loadModel(name);
  try {
    return await act(model);
  } finally {
    model.dispose();
  }
}
