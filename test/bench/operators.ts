// What operators and budgets cost, beside an unsteered step, an addition and Dyn:
//   node dist/test/bench/operators.js [MODEL] [--rounds N] [--tokens N] [--threads N]
// Operators act with a random vector at `resid_post`, in all layers and in a third of them; Dyn and budgets with one from demonstrations.
import { datasets } from "../../lib/experiments.js";
import { extract, loadDataset, loadModel, prompts, schedule, type Operation, type Steering } from "../../lib/index.js";
import { randomVector } from "../support/tiny-files.js";
import { endless } from "./parts/endless.js";
import { peerOptions, printPairs } from "./parts/peers.js";
import type { Measured } from "./parts/rounds.js";
import { FIRST_WORDS, QUESTION, secondsPerToken } from "./parts/subject.js";

/** Least ratios: an operator may cost 5 % of a step; a budget no more than Dyn. */
const [OPERATOR, BUDGET] = [0.95, 1];
const SCALE = 0.02;
const { path, rounds, tokens, threads } = peerOptions(process.argv.slice(2));
await using model = await loadModel(path, { threads });
const { nLayer } = model.info;
const every = Array.from({ length: nLayer }, (_, layer) => layer);
const third = every.slice(Math.floor(nLayer / 3), Math.ceil((2 * nLayer) / 3));
const random = await randomVector(model, 1, { site: "resid_post", nSteps: 1, scale: SCALE });
const folder = datasets.folder(path);
const [positive, negative] = await Promise.all(["ITA", "ENG"].map((name) => loadDataset(name, folder)));
const italian = await extract(model, { positive: positive!, negative: negative!, support: 5, strength: false });
const sampling = endless(model);

/** One generation after a question and a first word, which the round chooses; none ends early. */
const row = (...steer: Steering[]) => async (round: number): Promise<Measured> => {
  const word = FIRST_WORDS[round % FIRST_WORDS.length]!;
  const prompt = [...model.tokenise(prompts.question(QUESTION)), model.tokenise(` ${word}`, { bos: false })[0]!];
  const times: number[] = [];
  const stream = model.generate(prompt, { steer, maxNewTokens: tokens, sampling });
  for await (const _token of stream) times.push(performance.now());
  const { work } = await stream.result();
  return { seconds: secondsPerToken([times]), work: { atOnce: 1, tokens: times.length, ...work } };
};
const operated = (layers: readonly number[], how: Operation = {}): Steering =>
  ({ vector: random, layers, schedule: schedule.fixed(1), ...how });
const measured = (...schedules: Array<Steering["schedule"]>): Steering[] => schedules.map((each) => ({ vector: italian, schedule: each }));

await printPairs(
  {
    unsteered: row(), "added, all layers": row(operated(every)),
    "ablated, all layers": row(operated(every, { operator: "ablate" })),
    [`ablated, ${third.length} layers`]: row(operated(third, { operator: "ablate" })),
    "projected, all layers": row(operated(every, { operator: "project" })),
    [`projected, ${third.length} layers`]: row(operated(third, { operator: "project" })),
    [`norm kept, ${third.length} layers`]: row(operated(third, { keepNorm: true })),
    Dyn: row(...measured(schedule.dynamic())), "budget 0.5": row(...measured(schedule.budget(0.5))),
    "Dyn, 2": row(...measured(schedule.dynamic(), schedule.dynamic({ topP: 0.6 }))),
    "budget 0.5, 2": row(...measured(schedule.budget(0.5), schedule.budget(0.4))),
  },
  [
    { ours: "added, all layers", theirs: "unsteered" },
    { ours: "ablated, all layers", theirs: "unsteered", bar: OPERATOR },
    { ours: `ablated, ${third.length} layers`, theirs: "unsteered", bar: OPERATOR },
    { ours: "projected, all layers", theirs: "unsteered", bar: OPERATOR },
    { ours: `projected, ${third.length} layers`, theirs: "unsteered", bar: OPERATOR },
    { ours: `norm kept, ${third.length} layers`, theirs: "unsteered", bar: OPERATOR },
    { ours: "budget 0.5", theirs: "Dyn", bar: BUDGET }, { ours: "budget 0.5, 2", theirs: "Dyn, 2", bar: BUDGET },
    { ours: "Dyn", theirs: "unsteered" }, { ours: "budget 0.5", theirs: "unsteered" },
  ], rounds,
);
