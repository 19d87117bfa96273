export { abortError, throwIfAborted } from "../errors.js";

/** What waits for each signal. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Call `stop` when a signal fires, once, or now where it has fired; returns what takes that back. A signal gets one
 * listener, however many wait for it: Node 20 warns of more than ten, and a signal that is made of others for each of them
 * is never quite forgotten.
 */
export function onAbort(signal: AbortSignal | undefined, stop: () => void): () => void {
  if (signal?.aborted) stop();
  if (!signal || signal.aborted) return () => undefined;
  const stops = waiting.get(signal) ?? listen(signal);
  stops.add(stop);
  return () => { stops.delete(stop); };
}

function listen(signal: AbortSignal): Set<() => void> {
  const stops = new Set<() => void>();
  waiting.set(signal, stops);
  signal.addEventListener("abort", () => {
    for (const stop of stops) stop();
    stops.clear();
  }, { once: true });
  return stops;
}
