import type { NativeGate } from "../native/index.js";
import type { FullGate } from "../vector/index.js";

/** A gate as the native side takes it. */
export function nativeGate({ probe, above, below, until, shape }: FullGate): NativeGate {
  const { site, layer, weights, bias } = probe;
  const opens = above ?? below!;
  return { site, layer, weights, bias, opens, keeps: until ?? opens, below: below !== undefined, smooth: shape === "smooth" };
}
