import { fstatSync } from "node:fs";
import { SteeringError } from "../lib/index.js";
import { note } from "./common.js";

/** More text than any context holds. */
const MAX_BYTES = 2 ** 26;
/** Milliseconds after which someone who forgot the prompt learns what the command waits for. */
const PATIENCE = 10_000;

/** The text that is piped into the command, without its last line end; undefined if nothing is piped. Throws E_BAD_ARGUMENT. */
export async function pipedPrompt(quiet: boolean): Promise<string | undefined> {
  if (!isPiped()) return undefined;
  const timer = setTimeout(() => note("Waiting for a question on standard input; Ctrl-C ends this.", quiet), PATIENCE);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_BYTES) throw new SteeringError("E_BAD_ARGUMENT", `the piped question has more than ${MAX_BYTES} bytes`);
      chunks.push(chunk);
    }
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks)).replace(/\r?\n$/, "");
  } catch (cause) {
    if (cause instanceof SteeringError) throw cause;
    throw new SteeringError("E_BAD_ARGUMENT", `the piped question cannot be read: ${(cause as Error).message}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

/** A pipe or a file, but no terminal and not /dev/null. */
function isPiped(): boolean {
  try {
    const stdin = fstatSync(0);
    return stdin.isFIFO() || stdin.isFile() || stdin.isSocket();
  } catch {
    return false; // closed
  }
}
