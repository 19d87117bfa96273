import { app, utilityProcess } from "electron";
import { fileURLToPath } from "node:url";
import { loadModel } from "llama-steer";
import { outcomeOf, tryAll } from "./try.mjs";

const early = await outcomeOf(() => loadModel("tiny"));

app.whenReady().then(async () => {
  const main = await tryAll();
  const child = utilityProcess.fork(fileURLToPath(new URL("worker.mjs", import.meta.url)));
  const utility = await new Promise((resolve) => {
    child.once("message", resolve).once("exit", (code) => resolve({ exited: code }));
  });
  const { electron, node } = process.versions;
  console.log(JSON.stringify({ electron, node, early, main, utility }));
  app.exit(0);
}).catch((error) => {
  console.error(error);
  app.exit(1);
});
