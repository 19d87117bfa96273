// Makes a tiny model of one architecture and measures what it offers: `measure.js ARCHITECTURE FILE.gguf`, one line of JSON. A process of
// its own, since llama.cpp may end it.
import { loadModel, type HookSite, type Model } from "../../lib/index.js";
import { HOOK_SITES } from "../../lib/vector/index.js";
import { makeArchitecture } from "../support/ask-loader.js";
import { nodesOf } from "../support/site-nodes.js";
import { disproved } from "./proofs.js";
import { differsRecomputed, differsTogether, vectorsAt } from "./together.js";

/** What was found of an architecture. */
export interface Measured {
  architecture: string;
  /** Why there is no model, or none that generates. */
  reason?: string;
  nLayer?: number;
  /** Layers that have it, by site. */
  sites?: Record<HookSite, number[]>;
  /** The nodes that the sites are (test/support/site-nodes.ts). */
  nodes?: string[];
  /** Beginnings of prompts are shared at any token, or whole prompts only. */
  hasWholeSequences?: boolean;
  /** What did not hold. */
  wrong?: string[];
}

async function measure(architecture: string, path: string): Promise<Measured> {
  const tensors = await makeArchitecture(architecture, path).catch((error: Error) => error.message);
  if (typeof tensors === "string") return { architecture, reason: tensors };
  let model: Model;
  try {
    model = await loadModel(path, { threads: 1, gpuLayers: 0, kvType: "f32", flashAttention: false, vet: false });
  } catch (error) {
    return { architecture, reason: (error as Error).message.replace(`${path} `, "it ") };
  }
  const sites = Object.fromEntries(HOOK_SITES.map((site) => [site, model.siteLayers(site)])) as Record<HookSite, number[]>;
  const vectors = await vectorsAt(model, HOOK_SITES.filter((site) => sites[site].length > 0));
  const wrong = [...await disproved(model, tensors), ...await differsTogether(model, vectors)];
  for (const vector of vectors) wrong.push(...await differsRecomputed(model, vector));
  const { nLayer, hasWholeSequences } = model.info;
  model.dispose();
  return { architecture, nLayer, sites, nodes: await nodesOf(path), hasWholeSequences, wrong };
}

const [architecture, path] = process.argv.slice(2) as [string, string];
const found = await measure(architecture, path).catch(
  (error: Error): Measured => ({ architecture, reason: `cannot be computed: ${error.message}` }),
);
console.log(JSON.stringify(found));
