import { scale } from "../state/store.js";

/** What the shading means, where it is first seen. */
export function Legend() {
  return (
    <div class="legend">
      <p>The deeper a word is shaded, the more strongly it was steered.</p>
      <p class="ramp"><span>alpha 0</span><span class="bar" aria-hidden="true" /><span>{round(scale.value)}</span></p>
      <p class="hint">Point at a word to see why.</p>
    </div>
  );
}

const round = (value: number): string => String(Number(value.toFixed(2)));
