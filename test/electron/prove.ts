// Tries packaged Electron applications on Linux: `npm run electron:prove -- FOLDER`, where FOLDER has the executable `electron`, as
// node_modules/electron/dist. Needs xvfb-run, and @electron/asar and @electron/fuses from npm's registry.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageRoot, platformName } from "#native/prebuilt";
import { run } from "../prebuilt/stage.js";
import { tinyWithChat } from "../support/tiny-chat.js";
import { encodeGguf, tinyModel } from "../support/tiny-model.js";

/** What docs/electron.md says to unpack. */
const UNPACKED = "{node_modules/llama-steer,node_modules/@node-llama-cpp}";
const FUSES = "OnlyLoadAppFromAsar=on LoadBrowserProcessSpecificV8Snapshot=off EnableNodeOptionsEnvironmentVariable=off".split(" ");

type Outcomes = Record<"unsteered" | "steered" | "crashing" | "chat" | "dataset", string>;
interface Seen { electron: string; node: string; early: string; main: Outcomes; utility: Outcomes }

function writeApplication(folder: string): string {
  const application = join(folder, "application");
  cpSync(join(packageRoot, "test", "electron"), application, { recursive: true, filter: (path) => !path.endsWith(".ts") });
  writeFileSync(join(application, "package.json"), JSON.stringify({ name: "tried", version: "1.0.0", type: "module", main: "main.mjs" }));
  run(["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", folder], { cwd: packageRoot });
  const archive = join(folder, readdirSync(folder).find((name) => name.endsWith(".tgz"))!);
  run(["npm", "install", "--silent", "--ignore-scripts", "--omit=dev", archive], { cwd: application });
  const modules = join(application, "node_modules");
  cpSync(join(packageRoot, "build", "addon"), join(modules, "llama-steer", "build", "addon"), { recursive: true });
  for (const name of readdirSync(join(modules, "@node-llama-cpp"))) {
    if (name !== platformName()) rmSync(join(modules, "@node-llama-cpp", name), { recursive: true });
  }
  return application;
}

interface Packaging { electron: string; application: string; tools: string; unpack: string; runAsNode: "on" | "off" }

/** Packages the application into `folder` as electron-builder does. Returns the executable. */
function packaged(folder: string, { electron, application, tools, unpack, runAsNode }: Packaging): string {
  cpSync(electron, folder, { recursive: true });
  rmSync(join(folder, "resources"), { recursive: true, force: true });
  mkdirSync(join(folder, "resources"));
  const tool = (name: string): string => join(tools, "node_modules", ".bin", name);
  run([tool("asar"), "pack", application, join(folder, "resources", "app.asar"), "--unpack-dir", unpack], {});
  const executable = join(folder, "electron");
  run([tool("electron-fuses"), "write", "--app", executable, `RunAsNode=${runAsNode}`, ...FUSES], {});
  return executable;
}

function start(executable: string, folder: string, more: NodeJS.ProcessEnv = {}): Seen {
  const home = mkdtempSync(join(folder, "home-"));
  const env = { ...process.env, LLAMA_STEER_HOME: home, LLAMA_STEER_GPU: "none", ...more };
  const printed = run(["xvfb-run", "-a", executable, "--no-sandbox"], { env });
  return JSON.parse(printed.split("\n").find((line) => line.startsWith("{"))!) as Seen;
}

function expectAll(outcomes: Outcomes, where: string): void {
  console.log(`  ${where}: ${JSON.stringify(outcomes)}`);
  assert.match(outcomes.steered, /^\p{L}/u, where);
  assert.notEqual(outcomes.steered, outcomes.unsteered, where);
  assert.match(outcomes.crashing, /^E_BAD_GGUF llama\.cpp crashes when it loads .*SIGABRT.*n_layer/, where);
  assert.equal(outcomes.chat, "Hi there", where);
  assert.equal(outcomes.dataset, "A wide, open field.", where);
}

async function prove(electron: string, folder: string): Promise<void> {
  const files = { TRY_CHAT: join(folder, "chat.gguf"), TRY_CRASHING: join(folder, "crashing.gguf"), TRY_DATASET: join(folder, "rows.csv") };
  const bytes = encodeGguf(tinyModel());
  const at = bytes.indexOf("llama.block_count") + "llama.block_count".length + 4;
  writeFileSync(files.TRY_CRASHING, bytes.fill(0, at, at + 4)); // no layers
  await tinyWithChat(files.TRY_CHAT);
  writeFileSync(files.TRY_DATASET, 'input,output\nWhat is a meadow?,"A wide, open field."\n');
  const tools = join(folder, "tools");
  mkdirSync(tools);
  run(["npm", "install", "--silent", "--prefix", tools, "@electron/asar@3", "@electron/fuses@1"], {});
  const application = writeApplication(folder);

  for (const runAsNode of ["on", "off"] as const) {
    const executable = packaged(join(folder, runAsNode), { electron, application, tools, unpack: UNPACKED, runAsNode });
    const seen = start(executable, folder, files);
    console.log(`Electron ${seen.electron} (Node ${seen.node}), runAsNode ${runAsNode}\n  before ready: ${seen.early}`);
    assert.match(seen.early, /^E_NATIVE .*wait for app\.whenReady\(\)/);
    expectAll(seen.main, "main process");
    if (runAsNode === "on") expectAll(seen.utility, "utility process");
    else assert.match(seen.utility.crashing, /only Electron's main process can start others/);
  }
  const everything = packaged(join(folder, "everything"), { electron, application, tools, unpack: "node_modules", runAsNode: "off" });
  console.log("with LLAMA_STEER_NODE, everything unpacked, runAsNode off");
  const seen = start(everything, folder, { ...files, LLAMA_STEER_NODE: process.execPath });
  expectAll(seen.main, "main process");
  expectAll(seen.utility, "utility process");
}

const [electron] = process.argv.slice(2);
if (!electron || !existsSync(join(electron, "electron"))) throw new Error("name a folder with the executable `electron`");
const folder = mkdtempSync(join(tmpdir(), "llama-steer-electron-"));
try {
  await prove(electron, folder);
  console.log("proved");
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
