import { SteeringError } from "../errors.js";
export { abortError, throwIfAborted } from "../errors.js";

/** The callbacks that wait for each signal. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `stop` once when a signal fires, or immediately if it has fired; returns a function that cancels this. All callbacks of a
 * signal share one listener, since Node 20 warns of more than ten listeners and never fully releases signals made with `AbortSignal.any`.
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

/** The error of work on a model that was disposed of. */
export function disposedError(): SteeringError {
  return new SteeringError("E_DISPOSED", "the model was disposed");
}
