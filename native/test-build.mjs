// Runs the native tests on a build of the addon that checks itself; builds it first where it is out of date.
//   node native/test-build.mjs debug|sanitized [TEST FILES...]
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** What the sanitisers say. In files, and any file is a failure: tests swallow what some child processes print. */
const reports = join(root, "build", "sanitized", "reports");

const FLAGS = { debug: "--debug", sanitized: "--sanitize" };
const SANITIZER_OPTIONS = {
  ASAN_OPTIONS: [
    `log_path='${join(reports, "asan")}'`,
    // LeakSanitizer finds what the addon leaks (ASAN_OPTIONS=detect_leaks=1 turns it on) but cannot be a gate: now and then
    // it crashes while it scans ending threads, and after process.exit() it takes for lost what only V8's heap refers to.
    "detect_leaks=0",
    // A job's lambda that holds a reference to a local of the call that queued it is the mistake this code invites.
    "detect_stack_use_after_return=1",
    // On damaged files llama.cpp crashes in a process of its own, and the signal is what the tests look for.
    "handle_segv=0", "handle_sigbus=0", "handle_sigfpe=0",
  ],
  UBSAN_OPTIONS: [`log_path='${join(reports, "ubsan")}'`, "print_stacktrace=1"],
  LSAN_OPTIONS: [`suppressions='${join(root, "native", "leaks.supp")}'`, "print_suppressions=0"],
};
/** Sanitised processes take about three times as long to start, and some tests start dozens. */
const TEST_TIMEOUT_MS = 120_000;

/** The variables that a process needs to load the sanitised addon; its children inherit them. The caller's options win. */
function sanitizerVariables() {
  const { preload } = JSON.parse(readFileSync(join(root, "build", "sanitized", "built.json"), "utf8"));
  const variables = Object.entries(SANITIZER_OPTIONS).map(([name, options]) => [name, [...options, process.env[name] ?? ""].join(":")]);
  return { LD_PRELOAD: [preload, process.env.LD_PRELOAD ?? ""].join(":"), ...Object.fromEntries(variables) };
}

/** Exit status of a script of Node; as a shell has it where a signal ended it. */
function run(args, env = {}) {
  const { status, signal } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
  if (signal) console.error(`llama-steer: ${args.join(" ")} was ended by ${signal}`);
  return status ?? 128 + constants.signals[signal];
}

function printReports() {
  const names = existsSync(reports) ? readdirSync(reports) : [];
  for (const name of names) console.error(readFileSync(join(reports, name), "utf8"));
  if (names.length > 0) console.error(`llama-steer: ${names.length} report(s) of the sanitisers, see above`);
  return names.length;
}

function main([folder, ...tests]) {
  if (!(folder in FLAGS)) {
    console.error(`usage: node native/test-build.mjs ${Object.keys(FLAGS).join("|")} [TEST FILES...]`);
    return 2;
  }
  const prepared = run([join(root, "native", "setup.mjs"), folder, FLAGS[folder]]);
  if (prepared !== 0) return prepared;
  rmSync(reports, { recursive: true, force: true });
  const jest = ["--experimental-vm-modules", "--no-warnings", join(root, "node_modules", "jest", "bin", "jest.js")];
  const chosen = tests.length > 0 ? tests : ["dist/test/native"];
  if (folder === "debug") return run([...jest, ...chosen], { LLAMA_STEER_ADDON: folder });
  mkdirSync(reports);
  const status = run([...jest, `--testTimeout=${TEST_TIMEOUT_MS}`, ...chosen], { LLAMA_STEER_ADDON: folder, ...sanitizerVariables() });
  return printReports() > 0 && status === 0 ? 1 : status;
}

process.exitCode = main(process.argv.slice(2));
