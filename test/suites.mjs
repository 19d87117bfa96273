// Runs suites two at a time (jest.config.mjs), then those that need all processors, `*.alone.test.ts`, one at a time. Those of test/devices
// need a device, and run by themselves (test/devices/run.ts).
//   node test/suites.mjs [JEST OPTIONS] [FILES OR FOLDERS...]
import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const PASSES = [
  ["--testPathIgnorePatterns=\\.alone\\.test\\.js$", "--testPathIgnorePatterns=/test/devices/"],
  ["--testPathIgnorePatterns=(?<!\\.alone)\\.test\\.js$", "--runInBand"],
];

/** Exit status of jest; after a signal, 128 plus its number, as in a shell. */
function jest(options) {
  const program = join(root, "node_modules", "jest", "bin", "jest.js");
  const args = ["--experimental-vm-modules", "--no-warnings", program, "--passWithNoTests", ...options];
  const { status, signal } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (signal) console.error(`llama-steer: jest was killed by ${signal}`);
  return status ?? 128 + constants.signals[signal];
}

// Both passes run, whatever the first one finds.
process.exitCode = Math.max(...PASSES.map((options) => jest([...process.argv.slice(2), ...options])));
