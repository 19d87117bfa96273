import { spawn, type ChildProcessByStdio } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { findInstallation } from "../../../lib/native/index.js";
import { packageRoot } from "#native/prebuilt";

export interface PlainLoopOptions {
  /** Path of a GGUF. */
  model: string;
  /** KV cells in all. */
  nCtx: number;
  nSeqMax: number;
  /** The same as llama-steer's, or the two cannot be compared. */
  threads: number;
  /** Default 512, as in lib/engine/engine.ts. */
  nBatch?: number;
}

/** Path of a program of native/bench. */
export function benchProgram(name: string): string {
  const path = join(packageRoot, "build", "bench", name);
  if (!existsSync(path)) throw new Error(`${path} is missing. Build it: npm run build:bench`);
  return path;
}

/** These programs carry no path of llama.cpp's libraries: the loader finds them through a variable. */
export function libraryEnvironment(): NodeJS.ProcessEnv {
  const name = process.platform === "darwin" ? "DYLD_LIBRARY_PATH" : "LD_LIBRARY_PATH";
  return { ...process.env, [name]: [findInstallation().librariesFolder, process.env[name]].filter(Boolean).join(delimiter) };
}

/**
 * A plain llama_decode loop in a process of its own (native/bench/plain_loop.cc, built by `npm run build:bench`), with
 * llama-steer's context parameters and libraries but neither hook nor Node. Each call is one round; it idles in between.
 */
export class PlainLoop implements AsyncDisposable {
  private constructor(
    private readonly child: ChildProcessByStdio<Writable, Readable, null>,
    private readonly lines: AsyncIterator<string>,
    /** As llama.cpp rounded them. */
    readonly context: Readonly<{ nCtx: number; nBatch: number; nVocab: number }>,
  ) {}

  static async start({ model, nCtx, nSeqMax, threads, nBatch = 512 }: PlainLoopOptions): Promise<PlainLoop> {
    const { librariesFolder, gpuBackends } = findInstallation();
    const args = [librariesFolder, model, ...[nCtx, nBatch, nSeqMax, threads].map(String), ...gpuBackends];
    const child = spawn(benchProgram("plain-loop"), args, { stdio: ["pipe", "pipe", "inherit"], env: libraryEnvironment() });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return new PlainLoop(child, lines, await answer(lines));
  }

  /** `nSteps` greedy tokens on each of `nSeq` sequences in lockstep; the seconds of the steps, without the prompts. */
  decode(nSeq: number, nSteps: number, prompt: readonly number[]): Promise<{ seconds: number; tokens: number[][] }> {
    return this.ask("decode", nSeq, nSteps, ...prompt);
  }

  /** `nSteps` decodes of `nRows` rows with logits on as many sequences that share the prompt; no sampling. */
  rows(nRows: number, nSteps: number, prompt: readonly number[]): Promise<{ seconds: number }> {
    return this.ask("rows", nRows, nSteps, ...prompt);
  }

  /** A prompt of `nTokens` in batches of `nBatch`, without logits. */
  prefill(nTokens: number): Promise<{ seconds: number; tokensPerSecond: number }> {
    return this.ask("prefill", nTokens);
  }

  /** Bytes resident now and at most so far; null where there is no /proc. */
  memory(): Promise<{ rss: number | null; peakRss: number | null }> {
    return this.ask("rss");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.child.once("close", resolve));
    this.child.stdin.end();
    if (this.child.exitCode === null && this.child.signalCode === null) await ended;
  }

  private ask<T>(...words: Array<string | number>): Promise<T> {
    this.child.stdin.write(`${words.join(" ")}\n`);
    return answer<T>(this.lines);
  }
}

async function answer<T>(lines: AsyncIterator<string>): Promise<T> {
  const { done, value } = await lines.next();
  if (done) throw new Error("plain-loop has ended; see its message above");
  const result = JSON.parse(value) as T & { error?: string };
  if (result.error !== undefined) throw new Error(`plain-loop: ${result.error}`);
  return result;
}
