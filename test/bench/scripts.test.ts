import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { findInstallation } from "../../lib/native/index.js";
import type { Results } from "./parts/results.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "llama-steer-scripts-"));
const json = join(folder, "results.json");
const TINY = join("models", "tiny", "tiny.gguf");

/** Rows of each kind, and of each number at once. */
const ROWS = "own@8,dyn1@1,unsteered@32,prefill,extraction,score,kl,load-vetted,memory";
const LEAST = ["--rounds", "0", "--tokens", "4", "--threads", "1"];
const PAIRS = /\n(\| [^|]+ \| \d[\d.e+]* \| [^|]+ \| \d[\d.e+]* \| \d+\.\d\d \(.*\).* \|\n)+/;

/**
 * Every script of test/bench in its smallest form, and what it prints. A new script needs a line here. Python's run
 * without PyTorch.
 */
const SMALLEST: Record<string, { args: string[]; prints: RegExp }> = {
  "engine.ts": {
    args: ["--models", "tiny", "--support", "1", "--only", ROWS, "--json", json, ...LEAST],
    prints: /### tiny, F16\n[^]*\| row \| measured [^]*guesses: [01]\.\d\d right[^]*resident memory \| \d+ /,
  },
  "gpu.ts": { args: ["tiny", "--only", "stops", "--rounds", "0"], prints: /graph path: 0 synchronises[^]*callback path: [1-9]/ },
  "parity.ts": { args: ["tiny", "F32", "2"], prints: /^tiny F32: same tokens 2\/2; of these alpha ± \d/ },
  "detectors.ts": { args: ["--model", "tiny", "--rows", "3"], prints: /ours 10 tokens, eld 5 candidates: eng [^]*neighbours taken/ },
  "languages.ts": { args: ["tiny", "2", "2"], prints: /unsteered +0 of 2 [^]*Dyn p=0.3 +\d of 2 +[\d.]+ tokens\/s/ },
  "addons.ts": { args: [findInstallation().addonPath, "tiny", ...LEAST], prints: PAIRS },
  "gates.ts": { args: ["tiny", "1", "4"], prints: /tiny, 1 at once: [\d.]+ ms [^]*tiny, 8 at once: .* times \d/ },
  "variants.ts": { args: ["tiny", "1", "", "ITA"], prints: /\| p=0.5 clean \| \d[^]*\| p=0.3 skip \| \d/ },
  "operators.ts": { args: ["tiny", ...LEAST], prints: /\| ablated, all layers \|[^]*\| budget 0.5 \| [\d.]+ \| Dyn \| / },
  "rpc.ts": { args: ["tiny", ...LEAST], prints: PAIRS },
  "words.ts": { args: ["tiny", "2", "italian"], prints: /tiny: italian: extracted in [^]*Dyn p=0.5 +\d+ %/ },
  "token-strip.ts": { args: ["tiny", "tiny-italian"], prints: /^<svg [^]*<\/svg>/ },
  "serve-load.ts": {
    args: ["tiny", "--clients", "2", "--tokens", "4", "--seconds", "1"],
    prints: /ratio [\d.]+\n[^]*same as alone: [1-9]\d* of [1-9][^]*memory in MB: \d+ at the start/,
  },
  "plan-scale.ts": {
    args: ["--runs", "2", "--prompts", "3", "--shards", "2", "--reported", "1"],
    prints: /144 answers[^]*\| results merge \| 144 \|[^]*\| report \| 72 \|[^]*24 million answers, \d+ GB/,
  },
  "page-frames.ts": { args: ["--tokens", "40"], prints: /^no Chromium|^to \d+ tokens: \d+ frames\/s[^]*to 40 tokens/ },
  "peer-node-llama-cpp.ts": { args: ["tiny", ...LEAST], prints: PAIRS },
  "peer-control-vector.ts": { args: ["tiny", ...LEAST], prints: PAIRS },
  "published_way.py": {
    args: [TINY, "--check", "--prompts", "1", "--support", "1", "--threads", "1"],
    prints: /ITA: prompts \[\d+\], of [^]*answered in 11 settings; ways: published, cached\n[^]*\| whole run \| [\d.]+ s \|/,
  },
  "peer_repeng.py": { args: [TINY, "--check"], prints: /^tiny\.gguf, float32: 'Q:.*1 and 8 at once/ },
};

beforeAll(() => {
  expect(run(process.execPath, ["native/build.mjs", "--bench"]).status).toBe(0);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(program: string, args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: ROOT, encoding: "utf8", env: { ...process.env, NODE_OPTIONS: "" } });
  return { status, stdout, stderr };
}

function runScript(name: string, args: readonly string[]): ReturnType<typeof run> {
  return name.endsWith(".py")
    ? run("python3", [join("test", "bench", name), ...args])
    : run(process.execPath, [join("dist", "test", "bench", name.replace(/\.ts$/, ".js")), ...args]);
}

test("every script has a smallest form", () => {
  const scripts = readdirSync(join(ROOT, "test", "bench")).filter((name) => /(?<!\.test)\.(ts|py)$/.test(name));
  expect(Object.keys(SMALLEST).sort()).toEqual(scripts.sort());
});

test.each(Object.entries(SMALLEST))("%s runs and prints its figures", (name, { args, prints }) => {
  const { status, stdout, stderr } = runScript(name, args);
  expect({ status, stderr: status === 0 ? "" : stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(prints);
}, 120_000);

test("the table's results are complete, and their file keeps the rows that were measured before", () => {
  const results = JSON.parse(readFileSync(json, "utf8")) as Results;
  const [{ rows, vocabulary }] = results.models as [Results["models"][number]];
  expect(vocabulary).toBe(3200);
  expect(new Set(rows.map(({ group }) => group))).toEqual(
    new Set(["1 at once", "8 at once", "32 at once", "prompts", "evaluation", "start", "memory"]),
  );
  for (const { value, ratios } of rows) {
    for (const spread of [value, ...Object.values(ratios)]) {
      expect(spread.min).toBeGreaterThan(0);
      expect(spread.median).toBeGreaterThanOrEqual(spread.min);
      expect(spread.max).toBeGreaterThanOrEqual(spread.median);
      expect(spread.max).toBeLessThan(Infinity);
    }
  }
  const dyn = rows.find(({ name }) => name === "dyn1@1")!.dyn!;
  expect(dyn.bound.median).toBeGreaterThan(0);
  expect(dyn.work.tokens).toBe(4);
  const again = runScript("engine.ts", ["--models", "tiny", "--only", "kl", "--json", json, ...LEAST]);
  expect(again.status).toBe(0);
  const after = JSON.parse(readFileSync(json, "utf8")) as Results;
  expect(after.models[0]!.rows.map(({ name }) => name).sort()).toEqual(rows.map(({ name }) => name).sort());
  expect(runScript("engine.ts", ["--table", json]).stdout).toMatch(/AMD|Intel|\d+ cores/);
  writeFileSync(json, JSON.stringify({ ...after, machine: { ...after.machine, cpu: "another" } }));
  const elsewhere = runScript("engine.ts", ["--models", "tiny", "--only", "kl", "--json", json, ...LEAST]);
  expect(elsewhere.status).toBe(1);
  expect(elsewhere.stderr).toContain("measured on another machine");
}, 120_000);

test.each([
  ["engine.ts", ["--only", "nothing-like-it"], "no row is called so"],
  ["engine.ts", ["--rounds", "many"], "expected an integer of at least 0"],
  ["peer-control-vector.ts", ["tiny", "other"], "one model"],
])("%s refuses %j", (name, args, reason) => {
  const { status, stderr } = runScript(name, args);
  expect(status).toBe(1);
  expect(stderr).toContain(reason);
});
