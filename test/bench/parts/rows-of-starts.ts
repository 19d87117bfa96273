import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { packageRoot } from "#native/prebuilt";
import { availableProcessors } from "../../../lib/engine/processors.js";
import { PlainLoop } from "./plain-loop.js";
import type { Measured } from "./rounds.js";
import type { Row } from "./rows.js";
import type { Subject } from "./subject.js";

const CHILD = fileURLToPath(new URL("start-child.js", import.meta.url));
const COMMAND = join(packageRoot, "dist", "bin", "llama-steer.js");

/** Processes from their start: the command, `loadModel`, and memory. The model's file is in the system's cache. */
export function startRows(): Row[] {
  const base = { group: "start", sequences: 1, unit: "ms" as const };
  return [
    { ...base, name: "start-node", label: "node, doing nothing", against: [], measure: () => timed(["-e", "0"]) },
    {
      ...base, name: "start-version", label: "llama-steer --version", against: ["start-node"], measure: () => timed([COMMAND, "--version"]),
    },
    {
      ...base, name: "start-generate", label: "llama-steer generate, one token", against: [],
      measure: ({ model }) => timed([COMMAND, "generate", model.info.path, "Why?", "--max-new-tokens", "1", "--format", "qa"]),
    },
    {
      ...base, name: "load-plain", label: "plain loop: model and context", against: [],
      measure: async (subject) => {
        const begun = performance.now();
        const { context } = subject.plain;
        await using _loop = await PlainLoop.start({
          model: subject.model.info.path, nCtx: context.nCtx, nSeqMax: subject.options.sequences, threads: threadsOf(subject),
        });
        return { seconds: (performance.now() - begun) / 1000 };
      },
    },
    {
      ...base, name: "load-vetted", label: "loadModel", against: ["load-plain"],
      measure: async (subject) => ({ seconds: child(subject).loaded }),
    },
    {
      ...base, name: "load-first", label: "loadModel, the first time with a file", against: ["load-plain"],
      measure: async (subject) => {
        const home = mkdtempSync(join(tmpdir(), "llama-steer-bench-"));
        try {
          return { seconds: child(subject, { env: { LLAMA_STEER_HOME: home } }).loaded };
        } finally {
          rmSync(home, { recursive: true, force: true });
        }
      },
    },
    { ...base, name: "memory-plain", group: "memory", label: "resident memory, plain loop", unit: "MB", against: [], measure: plainMemory },
    {
      ...base, name: "memory", group: "memory", label: "resident memory", unit: "MB", against: ["memory-plain"],
      bars: { "memory-plain": 0.91 }, measure: async (subject) => ({ seconds: child(subject, { rss: true }).rss / 1e9 }),
    },
  ];
}

const threadsOf = ({ options }: Subject): number => options.threads ?? availableProcessors();

async function timed(args: readonly string[]): Promise<Measured> {
  const begun = performance.now();
  run(args);
  return { seconds: (performance.now() - begun) / 1000 };
}

function child(
  subject: Subject, { rss = false, env = {} }: { rss?: boolean; env?: NodeJS.ProcessEnv } = {},
): { loaded: number; rss: number } {
  const args = [CHILD, subject.model.info.path, String(threadsOf(subject)), ...(rss ? ["rss"] : [])];
  return JSON.parse(run(args, env)) as { loaded: number; rss: number };
}

function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", env: { ...process.env, ...env } });
  if (status !== 0) throw new Error(`node ${args.join(" ")} ended with ${status}:\n${stderr}`);
  return stdout;
}

/** After the same work as `start-child`, with the context that `loadModel` makes by default. */
async function plainMemory(subject: Subject): Promise<Measured> {
  await using plain = await PlainLoop.start({ model: subject.model.info.path, nCtx: 4096, nSeqMax: 16, threads: threadsOf(subject) });
  await plain.prefill(plain.context.nBatch);
  await plain.decode(8, 4, subject.prompt);
  const { rss } = await plain.memory();
  if (rss === null) throw new Error("this system does not tell how much memory a process has (no /proc): use --only for other rows");
  return { seconds: rss / 1e9 };
}
