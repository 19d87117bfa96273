import { Batch } from "../../lib/engine/index.js";
import type { GenerationResult, Model, Steering, VectorData } from "../../lib/index.js";
import { ids } from "./chats.js";
import { softmax } from "./linear.js";
import { tolerance } from "./tiny-files.js";

/** Between KLs, which the engine sums in 32 bits, over rows that batches of other sizes compute: gemma3's GELU rounds to 16 bits. */
export const KL_ROUNDING = tolerance(3e-4);

export const budget = (nats: number, more: object = {}): Steering["schedule"] => ({ kind: "budget", nats, ...more });
export const readingsOf = ({ tokens }: GenerationResult, index = 0): Array<{ alpha: number; kl: number | null }> =>
  tokens.map(({ readings }) => readings[index]!);

/** KL(a || b) over all tokens, in double precision. */
function divergence(a: Float32Array, b: Float32Array): number {
  const [p, q] = [softmax(a), softmax(b)];
  return p.reduce((sum, value, token) => (value > 0 ? sum + value * Math.log(value / q[token]!) : sum), 0);
}

/**
 * Per step, KL(steered || without the steering `which`) of the output's own history, from logits alone: a context that knows nothing of
 * budgets computes each step's row with these alphas and without the one. Steerings `later` are in neither of the two rows.
 */
export async function divergences(
  own: Model, prompt: readonly number[], { tokens }: GenerationResult, steer: readonly VectorData[], clean = false,
  which = steer.length - 1, later: readonly number[] = [],
): Promise<number[]> {
  using context = await own.createContext({ nCtx: 256, nSeqMax: 4 });
  const handles = steer.map((vector) => own.vectorHandle(vector));
  const found = [];
  const sequence = [...prompt, ...ids({ tokens } as GenerationResult)];
  for (let step = 0; step < tokens.length; step++) {
    const last = prompt.length - 1 + step;
    const logits = [];
    for (const isWithout of [false, true]) { // all of the sequence again: no cell is shared or copied
      context.kvClear();
      const batch = new Batch();
      for (let position = 0; position <= last; position++) {
        const at = position - prompt.length + 1;
        const terms = at < 0 || (clean && position < last) ? [] : handles.map((vector, index) => {
          const isLeftOut = position === last && (later.includes(index) || (isWithout && index === which));
          return { vector, step: Math.min(at, steer[index]!.nSteps), alpha: isLeftOut ? 0 : tokens[at]!.readings[index]!.alpha };
        });
        batch.add(sequence[position]!, position, 0, { output: position === last, terms });
      }
      await context.decode(batch);
      logits.push(context.logits(last));
    }
    found.push(divergence(logits[0]!, logits[1]!));
  }
  return found;
}
