// Runs the native tests on a build of the addon that checks itself; builds it first where it is out of date.
//   node native/test-build.mjs debug|sanitized [TEST FILES...]
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const FLAGS = { debug: "--debug", sanitized: "--sanitize" };

const SANITIZER_OPTIONS = {
  ASAN_OPTIONS: [
    // LeakSanitizer finds what the addon leaks (ASAN_OPTIONS=detect_leaks=1 turns it on) but cannot be a gate: now and then
    // it crashes while it scans ending threads, and after process.exit() it takes for lost what only V8's heap refers to.
    "detect_leaks=0",
    // A job's lambda that holds a reference to a local of the call that queued it is the mistake this code invites.
    "detect_stack_use_after_return=1",
    // libstdc++'s and ggml's assertions end in abort(): show where.
    "handle_abort=1",
  ],
  UBSAN_OPTIONS: ["print_stacktrace=1"],
  LSAN_OPTIONS: [`suppressions='${join(root, "native", "leaks.supp")}'`, "print_suppressions=0"],
};

/** The variables that a process needs to load the sanitised addon; its children inherit them. The caller's options win. */
function sanitizerVariables() {
  const { preload } = JSON.parse(readFileSync(join(root, "build", "sanitized", "built.json"), "utf8"));
  const variables = Object.entries(SANITIZER_OPTIONS).map(([name, options]) => [name, [...options, process.env[name] ?? ""].join(":")]);
  return { LD_PRELOAD: [...preload, process.env.LD_PRELOAD ?? ""].join(":"), ...Object.fromEntries(variables) };
}

/** Run a command; where it fails, end with its status, as a shell would where a signal killed it. */
function run(args, env = {}) {
  const { status, signal } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
  if (signal) console.error(`llama-steer: the tests were ended by ${signal}`);
  if (status !== 0) process.exit(status ?? 128 + constants.signals[signal]);
}

const [folder, ...tests] = process.argv.slice(2);
if (!(folder in FLAGS)) {
  console.error(`usage: node native/test-build.mjs ${Object.keys(FLAGS).join("|")} [TEST FILES...]`);
  process.exit(2);
}
run([join(root, "native", "setup.mjs"), folder, FLAGS[folder]]);
run(["--experimental-vm-modules", "--no-warnings", join(root, "node_modules", "jest", "bin", "jest.js"), ...(tests.length > 0 ? tests : ["dist/test/native"])],
  { LLAMA_STEER_ADDON: folder, ...(folder === "sanitized" ? sanitizerVariables() : {}) });
