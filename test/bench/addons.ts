// Another build of the addon, such as the prebuilt one, beside this machine's own: the same libraries and work, in two processes, in turns:
//   node dist/test/bench/addons.js build/prebuilt/linux-x64/llama-steer.node [MODEL] [--rounds N] [--tokens N] [--threads N]
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { packageRoot, platformName } from "#native/prebuilt";
import { findInstallation } from "../../lib/native/index.js";
import type { Load } from "./parts/addon-child.js";
import { peerOptions, printPairs } from "./parts/peers.js";
import type { Measured } from "./parts/rounds.js";

const LOADS: Record<string, Load> = {
  "unsteered": { schedule: "none", atOnce: 1 },
  "Fixed": { schedule: "Fixed", atOnce: 1 },
  "Fixed, 8 at once": { schedule: "Fixed", atOnce: 8 },
  "Dyn": { schedule: "Dyn", atOnce: 1 },
  "Dyn, 8 at once": { schedule: "Dyn", atOnce: 8 },
};

const [other, ...args] = process.argv.slice(2);
if (other === undefined || !existsSync(other)) {
  throw new Error(`no addon at ${other}; expected the path of one. Build the prebuilt one: npm run prebuilt -- ${platformName()}`);
}
const { path, rounds, tokens, threads } = peerOptions(args);

interface Generator {
  child: ChildProcess;
  /** Rejects when the process ends. */
  ended: Promise<never>;
}

/** A process that generates with a build of the addon: a folder in build/. */
function start(build?: string): Generator {
  const env = { ...process.env, ...(build && { LLAMA_STEER_ADDON: build }) };
  const child = fork(fileURLToPath(new URL("parts/addon-child.js", import.meta.url)), [path, String(tokens), String(threads)], { env });
  const ended = once(child, "exit").then(([code, signal]) => { throw new Error(`a process ended with ${code ?? signal}; see above`); });
  ended.catch(() => undefined); // one that ends after the last measurement is not a failure
  return { child, ended };
}

async function measure({ child, ended }: Generator, load: Load): Promise<Measured> {
  child.send(load);
  const [seconds] = await Promise.race([once(child, "message"), ended]) as [number];
  return { seconds };
}

const folder = mkdtempSync(join(packageRoot, "build", "other-addon-"));
const children: ChildProcess[] = [];
try {
  mkdirSync(join(folder, "Release"));
  copyFileSync(other, join(folder, "Release", "llama-steer.node"));
  writeFileSync(join(folder, "built.json"), JSON.stringify(findInstallation().built));
  const [theirs, own] = [start(basename(folder)), start()];
  children.push(theirs.child, own.child);
  await printPairs(
    Object.fromEntries(Object.entries(LOADS).flatMap(([name, load]) => [
      [`other: ${name}`, () => measure(theirs, load)], [`own: ${name}`, () => measure(own, load)],
    ])),
    Object.keys(LOADS).map((name) => ({ ours: `other: ${name}`, theirs: `own: ${name}` })), rounds,
  );
} finally {
  for (const child of children) child.kill();
  rmSync(folder, { recursive: true });
}
