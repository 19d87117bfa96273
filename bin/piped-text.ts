import { fstatSync } from "node:fs";
import { addAbortSignal } from "node:stream";
import { abortError } from "../lib/errors.js";
import { SteeringError } from "../lib/index.js";
import { note } from "./common.js";

/** More text than any context holds. */
const MAX_BYTES = 2 ** 26;
/** Milliseconds after which someone who forgot the text learns what the command waits for. */
const PATIENCE = 10_000;

/** The question that is piped in, without its last line end; undefined if nothing is piped. Throws E_BAD_ARGUMENT, E_ABORTED. */
export async function pipedPrompt(quiet: boolean, signal: AbortSignal): Promise<string | undefined> {
  return isPiped() ? (await readPiped("question", quiet, signal)).replace(/\r?\n$/, "") : undefined;
}

/** Standard input as text; `what` it is. Throws E_BAD_ARGUMENT if it is too long or not UTF-8, E_ABORTED. */
export async function readPiped(what: string, quiet: boolean, signal: AbortSignal): Promise<string> {
  const timer = setTimeout(() => note(`Waiting for a ${what} on standard input; Ctrl-C ends this.`, quiet), PATIENCE);
  try {
    return decoded(await allOf(what, signal));
  } catch (cause) {
    if (signal.aborted) throw abortError(signal);
    if (cause instanceof SteeringError) throw cause;
    throw new SteeringError("E_BAD_ARGUMENT", `the piped ${what} cannot be read: ${(cause as Error).message}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

async function allOf(what: string, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of addAbortSignal(signal, process.stdin) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new SteeringError("E_BAD_ARGUMENT", `the piped ${what} has more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function decoded(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SteeringError("E_BAD_ARGUMENT", "standard input is not UTF-8; expected UTF-8 text", { cause });
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
