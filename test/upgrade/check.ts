// What another node-llama-cpp would change for us, on one page: `npm run upgrade:check VERSION`, which fetches it into a temporary folder.
// Without a version, the installed one is held to what is pinned: seconds, and no network. Options, after `--`: --tests runs the native
// tests too, --sample looks at the tests' tiny architectures alone, --full prints every line. Exits with 0: nothing changed; 1: something
// did; 2: something could not be compared. Linux and macOS.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findNodeLlamaCpp, packageRoot } from "#native/prebuilt";
import { findInstallation } from "../../lib/native/index.js";
import { extractHeaders, installOther } from "./other-version.js";
import { exitStatus, page } from "./page.js";
import { CommandFailed } from "./processes.js";
import { compare } from "./stages.js";

const OPTIONS = {
  tests: { type: "boolean", default: false },
  sample: { type: "boolean", default: false },
  full: { type: "boolean", default: false },
} as const;

async function check(folder: string, signal: AbortSignal): Promise<number> {
  const { values: { tests, sample, full }, positionals: [wanted] } = parseArgs({ allowPositionals: true, options: OPTIONS });
  const installed = findNodeLlamaCpp();
  if (!installed) throw new CommandFailed("npm run upgrade:check", "node-llama-cpp is not installed. Run: npm ci");
  const { addonPath, librariesFolder } = findInstallation();
  const own = `node-llama-cpp ${installed.version} (llama.cpp ${installed.release})`;
  console.error(wanted ? `> fetch node-llama-cpp ${wanted}` : "> headers");
  const ours = await extractHeaders(installed.folder, join(folder, "ours"), signal);
  const other = wanted === undefined ? undefined : await installOther(wanted, folder, signal);
  const theirs = other ? await extractHeaders(other.nodeLlamaCpp, join(folder, "theirs"), signal) : ours;
  const sections = await compare({
    root: other?.root ?? packageRoot, ours, theirs, libraries: other ? other.libraries : librariesFolder, addonPath,
    architectures: other && !sample ? "every" : "tiny", withTests: tests, signal,
  });
  const heading = other ? `node-llama-cpp ${other.version} (llama.cpp ${other.release}), compared with ${own}`
    : `${own}, compared with what is pinned`;
  console.log(page(heading, sections, full));
  return exitStatus(sections);
}

async function main(): Promise<number> {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => stop.abort());
  const folder = mkdtempSync(join(tmpdir(), "llama-steer-upgrade-"));
  try {
    return await check(folder, stop.signal);
  } catch (error) {
    if (stop.signal.aborted) return 130;
    console.error(`llama-steer: ${(error as Error).message}${error instanceof CommandFailed ? `:\n${error.output}` : ""}`);
    return 2;
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

process.exitCode = await main();
