// Runs the native tests on a self-checking build of the addon, and builds it first if it is out of date.
//   node native/test-build.mjs debug|sanitized [TEST FILES...]
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** The sanitisers' reports. They go to files, because tests swallow the output of some child processes; any file is a failure. */
const reports = join(root, "build", "sanitized", "reports");

const FLAGS = { debug: "--debug", sanitized: "--sanitize" };
const SANITIZER_OPTIONS = {
  ASAN_OPTIONS: [
    `log_path='${join(reports, "asan")}'`,
    // LeakSanitizer finds the addon's leaks (ASAN_OPTIONS=detect_leaks=1 turns it on) but is too unreliable for a gate: occasionally it
    // crashes while scanning exiting threads, and after process.exit() it reports memory that only V8's heap refers to.
    "detect_leaks=0",
    // This code invites the mistake of a job's lambda that refers to a local variable of the call that queued it.
    "detect_stack_use_after_return=1",
    // On damaged files llama.cpp crashes in a child process, and the tests check for the signal.
    "handle_segv=0", "handle_sigbus=0", "handle_sigfpe=0",
  ],
  UBSAN_OPTIONS: [`log_path='${join(reports, "ubsan")}'`, "print_stacktrace=1"],
  LSAN_OPTIONS: [`suppressions='${join(root, "native", "leaks.supp")}'`, "print_suppressions=0"],
};
/** Sanitised processes take about three times as long to start, and some tests start dozens. */
const TEST_TIMEOUT_MS = 120_000;

/** Environment variables for loading the sanitised addon, inherited by child processes. The caller's options take precedence. */
function sanitizerVariables() {
  const { preload } = JSON.parse(readFileSync(join(root, "build", "sanitized", "built.json"), "utf8"));
  const variables = Object.entries(SANITIZER_OPTIONS)
    .map(([name, options]) => [name, [...options, process.env[name] ?? ""].join(":")]);
  return { LD_PRELOAD: [preload, process.env.LD_PRELOAD ?? ""].join(":"), ...Object.fromEntries(variables) };
}

/** Run a Node script and return its exit status; after a signal, 128 plus its number, as in a shell. */
function run(args, env = {}) {
  const { status, signal } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
  if (signal) console.error(`llama-steer: ${args.join(" ")} was killed by ${signal}`);
  return status ?? 128 + constants.signals[signal];
}

function printReports() {
  const names = existsSync(reports) ? readdirSync(reports) : [];
  for (const name of names) console.error(readFileSync(join(reports, name), "utf8"));
  if (names.length > 0) console.error(`llama-steer: ${names.length} sanitiser report(s), see above`);
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
  const suites = [join(root, "test", "suites.mjs")];
  // The engine's own tests are a program of their own, the same whichever addon is in use.
  const chosen = tests.length > 0 ? tests : ["dist/test/native", "--testPathIgnorePatterns=native/engine\\.test"];
  // The sanitised build has the same assertions, so a sample of its suites is enough where the slow ones are sampled.
  const share = tests.length === 0 && process.env.LLAMA_STEER_TEST_SLOW === "sample" ? ["--shard=1/4"] : [];
  if (folder === "debug") return run([...suites, ...share, ...chosen], { LLAMA_STEER_ADDON: folder });
  mkdirSync(reports);
  const status = run([...suites, `--testTimeout=${TEST_TIMEOUT_MS}`, ...chosen], { LLAMA_STEER_ADDON: folder, ...sanitizerVariables() });
  return printReports() > 0 && status === 0 ? 1 : status;
}

process.exitCode = main(process.argv.slice(2));
