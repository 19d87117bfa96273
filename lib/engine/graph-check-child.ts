// The process that `checkGraphPath` starts, with the name of a back end and RPC servers. It steers the package's own model on both paths,
// on the devices that models would use, and reports how much the results differ.
import type { SteeringError } from "../errors.js";
import { endWithParent, sendToParent } from "../parent.js";
import { HOOK_SITES, hasHeads, type HookSite, type VectorData } from "../vector/index.js";
import { Batch } from "./batch.js";
import type { Context } from "./context.js";
import type { LoadModelOptions } from "./load-options.js";
import { Engine, openEngine } from "./engine.js";

/**
 * The message to the parent process: the largest distance between the paths, relative to the change that steering makes (null if not
 * finite); or why no model could be loaded on the RPC servers.
 */
export type GraphCheckReport = { difference: number | null } | { refusal: string };

const MODEL = "tiny";
const PROMPT = [1, 2, 3, 4, 5, 6];
/** Rows per batch: larger batches allocate memory in between, equal ones reuse graphs. */
const ROWS = [1, 1, 3, 9];
const N_STEPS = 2;
const SITES: readonly HookSite[] = HOOK_SITES.filter((site) => site === "head_out" || site === "attn_out" || site === "resid_post");

endWithParent();
const backend = (process.argv[2] ?? "auto") as NonNullable<LoadModelOptions["backend"]>;
const rpc = process.argv.slice(3);
const [callback, graph] = await bothPaths();
const difference = Math.max(...callback.map(({ steered, unsteered }, index) => {
  const other = graph[index]!;
  return Math.max(distance(steered, other.steered), distance(unsteered, other.unsteered)) / distance(steered, unsteered);
}));
await sendToParent({ difference } satisfies GraphCheckReport);
process.exit(0);

async function bothPaths(): Promise<[Outcome[], Outcome[]]> {
  try {
    return [await logits("callback"), await logits("graph")];
  } catch (error) {
    if (rpc.length > 0 && (error as SteeringError).code === "E_NATIVE") {
      await sendToParent({ refusal: (error as Error).message } satisfies GraphCheckReport);
    }
    throw error;
  }
}

/** The logits of all rows of one batch. */
interface Outcome {
  steered: Float32Array;
  unsteered: Float32Array;
}

async function logits(steeringPath: "callback" | "graph"): Promise<Outcome[]> {
  using model = new Engine(...await openEngine(MODEL, { backend, rpc, steeringPath, gpuLayers: "all", vet: false, threads: 1 }));
  using context = await model.createContext({ nCtx: 512, nSeqMax: Math.max(...ROWS) });
  const outcomes: Outcome[] = [];
  for (const site of SITES) {
    const vector = someVector(model, site);
    for (const nRows of ROWS) {
      const unsteered = await decode(model, context, nRows, vector, () => 0);
      // The rows of a batch have different alphas, and the second row is unsteered.
      const steered = await decode(model, context, nRows, vector, (row) => (row === 1 ? 0 : 1 + row / 2));
      outcomes.push({ unsteered, steered });
    }
  }
  return outcomes;
}

async function decode(
  model: Engine, context: Context, nRows: number, vector: VectorData, alphaOf: (row: number) => number,
): Promise<Float32Array> {
  context.kvClear();
  const prompt = new Batch();
  PROMPT.forEach((token, position) => prompt.add(token, position, 0));
  await context.decode(prompt);
  const batch = new Batch();
  for (let row = 0; row < nRows; row++) {
    if (row > 0) context.kvCopy(0, row);
    const terms = [{ vector: model.vectorHandle(vector), step: row % vector.nSteps, alpha: alphaOf(row) }];
    batch.add(7, PROMPT.length, row, { output: true, terms });
  }
  await context.decode(batch);
  return Float32Array.from(Array.from({ length: nRows }, (_, row) => [...context.logits(row)]).flat());
}

/** A deterministic vector for all layers but the first, after which the graph has no node to add to. */
function someVector(model: Engine, site: HookSite): VectorData {
  const { nLayer, nHead, dHead, nEmbd } = model.info;
  const layers = Array.from({ length: nLayer - 1 }, (_, index) => index + 1);
  const width = hasHeads(site) ? nHead * dHead : nEmbd;
  const data = Float32Array.from({ length: layers.length * N_STEPS * width }, (_, index) => Math.sin(1 + index * index));
  return { site, layers, nSteps: N_STEPS, width, data } as unknown as VectorData; // the provenance is not used here
}

function distance(a: Float32Array, b: Float32Array): number {
  return a.reduce((largest, value, index) => Math.max(largest, Math.abs(value - b[index]!)), 0);
}
