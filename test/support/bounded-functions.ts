// What test/unit/bounded.test.ts has called in a process of its own.
import { SteeringError } from "../../lib/errors.js";

export default function echo(input: unknown): unknown {
  return input;
}

export function forever(): void {
  for (;;);
}

/** V8 ends the process when a table of this kind no longer fits its heap, a worker's as well. */
export function map(): void {
  const found = new Map<number, number>();
  for (let i = 0; ; i++) found.set(i, i);
}

/** Memory outside of V8's heap. */
export function buffers(): void {
  const kept: Uint8Array[] = [];
  for (;;) kept.push(new Uint8Array(2 ** 20).fill(1));
}

export async function unhandled(): Promise<void> {
  void Promise.reject(new RangeError("nobody waits for this"));
  await new Promise((resolve) => setTimeout(resolve, 60_000));
}

export function uncaught(): Promise<void> {
  setImmediate(() => { throw new Error("thrown where nobody catches"); });
  return new Promise(() => undefined);
}

export function exits(): void {
  process.exit(7);
}

export function typeError(): void {
  (undefined as unknown as { x: () => void }).x();
}

export function refusal(): void {
  throw new SteeringError("E_NOT_FOUND", "it is not there");
}

/** As Ctrl-C in a terminal does, which reaches all of its processes. */
export function interrupted(signal: unknown): Promise<void> {
  process.kill(process.pid, signal as NodeJS.Signals);
  return new Promise(() => undefined);
}
