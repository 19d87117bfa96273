// What a plan of many runs needs besides its answers: disk, and the processor time and memory of merging its shards, judging, resuming
// and reporting. The answers are those of a few prompts of `tiny`, over and over.
//   node dist/test/bench/plan-scale.js [--runs 100] [--prompts 100] [--shards 4] [--reported 4] [--folder NEW]
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { results } from "../../lib/experiments.js";
import { writeLargePlan } from "./parts/large-plan.js";
import { USAGE_FILE, type Usage } from "./parts/usage-hook.js";

const CLI = fileURLToPath(new URL("../../bin/llama-steer.js", import.meta.url));
const HOOK = new URL("parts/usage-hook.js", import.meta.url).href;
/** The plan that is extrapolated to. */
const [RUNS, PROMPTS] = [1000, 1000];

const text = { type: "string" } as const;
const { values } = parseArgs({ options: { runs: text, prompts: text, shards: text, reported: text, folder: text } });
const [nRuns, nPrompts, nShards, nReported] = ([["runs", 100], ["prompts", 100], ["shards", 4], ["reported", 4]] as const)
  .map(([name, usual]) => {
    const given = Number(values[name] ?? usual);
    if (!Number.isInteger(given) || given < 1) throw new Error(`--${name} ${values[name]}: expected an integer of at least 1`);
    return given;
  }) as [number, number, number, number];
const folder = values.folder ?? mkdtempSync(join(tmpdir(), "llama-steer-plan-"));

try {
  const { plan, shards, settings, bytes } = await writeLargePlan(folder, nRuns, nPrompts, nShards);
  const perRun = nPrompts * settings;
  console.log(`${nRuns} runs of ${nPrompts} prompts in ${settings} settings, ${nShards} shards: ${nRuns * perRun} answers, `
    + `${(bytes / 1e6).toFixed(1)} MB, ${Math.round(bytes / nRuns / perRun)} bytes each\n`);
  console.log("| step | answers | processor s | µs per answer | peak memory in MB | of the whole plan |\n|---|---|---|---|---|---|");
  const out = join(folder, "all");
  step("results merge", nRuns, ["results", "merge", out, ...shards]);
  step("results show", nRuns, ["results", "show", out]);
  step("experiment plan, all done", nRuns, ["experiment", "plan", plan, "--out", out, "--threads", "1"]);
  step("evaluate", nRuns, ["evaluate", out]);
  const reported = results.below(out).slice(0, nReported);
  step("report", reported.length, ["report", ...reported, "--out", join(folder, "report")]);
  const whole = RUNS * PROMPTS * settings;
  console.log(`\n${RUNS} runs of ${PROMPTS} prompts: ${(whole / 1e6).toFixed(0)} million answers, ${(whole * bytes / nRuns / perRun / 1e9).toFixed(0)} GB`);

  function step(name: string, runs: number, args: readonly string[]): void {
    const { seconds, bytes: peak } = usageOf(args);
    const each = seconds / (runs * perRun);
    console.log(`| ${name} | ${runs * perRun} | ${seconds.toFixed(1)} | ${(1e6 * each).toFixed(0)} | ${(peak / 1e6).toFixed(0)} `
      + `| ${(each * RUNS * PROMPTS * settings / 3600).toFixed(1)} h |`);
  }
} finally {
  if (values.folder === undefined) rmSync(folder, { recursive: true, force: true });
}

/** Run a command of ours in a process of its own. */
function usageOf(args: readonly string[]): Usage {
  const file = join(folder, "usage.json");
  const env = { ...process.env, [USAGE_FILE]: file };
  const { status, stderr } = spawnSync(process.execPath, ["--import", HOOK, CLI, ...args, "--quiet"], {
    env, encoding: "utf8", stdio: ["ignore", "ignore", "pipe"],
  });
  if (status !== 0) throw new Error(`${args.slice(0, 2).join(" ")} ended with ${status}: ${stderr}`);
  return JSON.parse(readFileSync(file, "utf8")) as Usage;
}
