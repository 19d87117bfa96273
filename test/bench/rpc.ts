// What computing through RPC costs on this machine: the same model here and on a server on loopback, in turns (docs/rpc.md):
//   node dist/test/bench/rpc.js [MODEL] [--rounds N] [--tokens N] [--threads N]
// The server has as many threads; while one side computes, the other waits.
import { loadModel, schedule, type Model, type Steering } from "../../lib/index.js";
import { loopbackRpc } from "../devices/stand-ins.js";
import { randomVector } from "../support/tiny-files.js";
import { endless } from "./parts/endless.js";
import { peerOptions, printPairs } from "./parts/peers.js";
import type { Measured } from "./parts/rounds.js";
import { secondsPerToken } from "./parts/subject.js";

const { path, rounds, tokens, threads } = peerOptions(process.argv.slice(2));
const server = await loopbackRpc(threads);
if (typeof server === "string") throw new Error(server);
try {
  const common = { threads, maxSequences: 16, contextSize: 4096 };
  await using here = await loadModel(path, { ...common, rpc: [] });
  await using there = await loadModel(path, { ...common, rpc: [server.env["LLAMA_STEER_RPC"]!] });
  const vector = await randomVector(here, 1, { nSteps: 1, scale: 0.02 });
  const row = (model: Model, steer: Steering[], atOnce: number) => async (): Promise<Measured> => {
    const sampling = endless(model);
    const times = await Promise.all(Array.from({ length: atOnce }, async (_, index) => {
      const own: number[] = [];
      for await (const _token of model.generate(`Question ${index}`, { steer, maxNewTokens: tokens, sampling })) own.push(performance.now());
      return own;
    }));
    return { seconds: secondsPerToken(times) };
  };
  const rows = (model: Model, where: string): Record<string, () => Promise<Measured>> => ({
    [`unsteered ${where}`]: row(model, [], 1),
    [`Fixed ${where}`]: row(model, [{ vector, schedule: schedule.fixed(1) }], 1),
    [`Dyn ${where}`]: row(model, [{ vector, schedule: schedule.dynamic() }], 1),
    [`8 at once ${where}`]: row(model, [{ vector, schedule: schedule.fixed(1) }], 8),
  });
  const [local, remote] = [rows(here, "here"), rows(there, "through RPC")];
  const theirs = Object.keys(local);
  await printPairs({ ...local, ...remote }, Object.keys(remote).map((ours, index) => ({ ours, theirs: theirs[index]! })), rounds);
} finally {
  server.stop();
}
