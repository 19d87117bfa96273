import { Batch } from "../../lib/engine/index.js";
import type { GenerateOptions, HookSite, Model, VectorData } from "../../lib/index.js";
import { randomVector } from "../support/tiny-files.js";

/** They begin alike: one whole in the other, one differing in the midst, one the same. */
const PROMPTS = [
  "Hello there my friend, this", "Hello there my friend, this is", "Hello there my friend, that is", "Hello there my friend, this is",
];
const N_TOKENS = 6;
/**
 * In shared batches products are rounded otherwise, and ggml's GELU on the CPU is a table in half precision: 0.001 at the next entry, in
 * some of 96 columns. What takes another's cells or state differs by 0.1 and more.
 */
const ROUNDING = 5e-3;

interface Answer {
  tokens: number[];
  logProbabilities: number[];
  alphas: number[];
}

/** Ends of generation would make answers short. */
const NO_END = { "2": -100 };

async function answer(model: Model, prompt: string, steer: GenerateOptions["steer"]): Promise<Answer> {
  const options = { maxNewTokens: N_TOKENS, logProbabilities: true, sampling: { logitBias: NO_END }, ...(steer && { steer }) };
  const { tokens } = await model.generate(prompt, options).result();
  if (tokens.length !== N_TOKENS) throw new Error(`${tokens.length} tokens were generated instead of ${N_TOKENS}`);
  return {
    tokens: tokens.map(({ token }) => token),
    logProbabilities: tokens.map(({ logProbability }) => logProbability!),
    alphas: tokens.flatMap(({ readings }) => readings.map(({ alpha }) => alpha)),
  };
}

/** The same tokens, probabilities and alphas, up to a step where two tokens are as likely as one another. */
function agree(a: Answer, b: Answer): boolean {
  const close = (x: number | undefined, y: number | undefined): boolean => x === y || Math.abs(x! - y!) < ROUNDING;
  for (let step = 0; step < N_TOKENS; step++) {
    if (!close(a.alphas[step], b.alphas[step]) || !close(a.logProbabilities[step], b.logProbabilities[step])) return false;
    if (a.tokens[step] !== b.tokens[step]) return step > 0;
  }
  return true;
}

/** Whether generations that share a batch and beginnings are what they are alone, with and without steering. Returns what is not. */
export async function differsTogether(model: Model, vectors: readonly VectorData[]): Promise<string[]> {
  const kinds = [
    { name: "unsteered", steer: undefined },
    ...vectors.flatMap((vector) => [
      { name: `Fixed at ${vector.site}`, steer: [{ vector, schedule: { kind: "fixed", alpha: 1 } as const }] },
      { name: `Dyn at ${vector.site}`, steer: [{ vector, schedule: { kind: "dynamic", topP: 1, klReduction: "sum" } as const }] },
    ]),
  ];
  const works = kinds.flatMap(({ name, steer }) => PROMPTS.map((prompt) => ({ name, steer, prompt })));
  const alone: Answer[] = [];
  for (const { prompt, steer } of works) alone.push(await answer(model, prompt, steer));
  const together = await Promise.all(works.map(({ prompt, steer }) => answer(model, prompt, steer)));
  const wrong = works.filter((_, i) => !agree(alone[i]!, together[i]!)).map(({ name }) => `${name} differs in a shared batch`);
  return [...new Set(wrong)];
}

/** A vector at each site, in all layers that have it. */
export function vectorsAt(model: Model, sites: readonly HookSite[]): Promise<VectorData[]> {
  const scaleOf = (site: HookSite): number => (site === "head_out" || site === "attn_out" ? 1 : 0.5);
  return Promise.all(sites.map((site, seed) => randomVector(model, 40 + seed, { site, nSteps: N_TOKENS, scale: scaleOf(site) })));
}

/** Whether Dyn is what it is when every stream computes its whole sequence at every step. */
export async function differsRecomputed(model: Model, vector: VectorData): Promise<string[]> {
  const [settings, strongest] = [{ topP: 1, klReduction: "sum" } as const, 2];
  const streamed = await answer(model, PROMPTS[1]!, [{ vector, schedule: { kind: "dynamic", ...settings } }]);
  using context = await model.createContext({ nCtx: 512, nSeqMax: 4 });
  const handle = model.vectorHandle(vector);
  const tokens = model.tokenise(PROMPTS[1]!);
  const first = tokens.length - 1;
  const sampler = model.createSampler({ logitBias: NO_END }, tokens);
  /** Decode the sequence anew on three streams: unsteered, at its strongest, and as it was answered. */
  const decodeAll = async (alphas: Array<((step: number) => number) | undefined>): Promise<{ batch: Batch; rows: number[] }> => {
    context.kvClear();
    const batch = new Batch();
    const rows = alphas.map((alpha, sequence) => tokens.map((token, position) => {
      const step = position - first;
      const terms = alpha && step >= 0 && alpha(step) !== 0 ? [{ vector: handle, step, alpha: alpha(step) }] : [];
      return batch.add(token, position, sequence, { output: position === tokens.length - 1, terms });
    }).at(-1)!);
    return { batch, rows };
  };
  const recomputed: Answer = { tokens: [], logProbabilities: [], alphas: [] };
  for (let step = 0; step < N_TOKENS; step++) {
    const measured = await decodeAll([undefined, () => strongest]);
    measured.batch.measure({ baseline: measured.rows[0]!, strong: measured.rows[1]!, alphaMax: strongest, ...settings });
    recomputed.alphas.push((await context.decode(measured.batch)).alphas[0]!.alpha);
    const output = await decodeAll([(at) => recomputed.alphas[at]!]);
    output.batch.sample(output.rows[0]!, { sampler, logProbability: true });
    const { samples: [sample] } = await context.decode(output.batch);
    recomputed.tokens.push(sample!.token);
    recomputed.logProbabilities.push(sample!.logProbability);
    tokens.push(sample!.token);
  }
  const isSame = agree(recomputed, streamed);
  return isSame ? [] : [`Dyn at ${vector.site} is not what is recomputed`];
}
