import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "#native/prebuilt";
import { addon, type NativeSiteNode } from "../../lib/native/index.js";
import { architectureGguf } from "./tiny-architectures.js";
import { scratch } from "./tiny-files.js";

/** Lines of `nodeLines`, by architecture. */
export type NodeLists = Record<string, string[]>;

/**
 * The nodes that the hook sites of a model are, one line for all layers that agree: in names, the layer is N. For instance
 * `resid_post 1-3 [64] l_out-N=ADD(ffn_out-N,ffn_inp-N)`: site, layers, width, signature.
 */
export function nodeLines(nodes: readonly NativeSiteNode[]): string[] {
  const layers = new Map<string, { site: string; rest: string; layers: number[] }>();
  for (const { site, layer, width, isCut, signature } of nodes) {
    const rest = `[${width}${isCut ? ", output rows" : ""}] ${template(signature, layer) || "the product of blk.N.attn_output.weight"}`;
    const entry = layers.get(`${site} ${rest}`) ?? { site, rest, layers: [] };
    entry.layers.push(layer);
    layers.set(`${site} ${rest}`, entry);
  }
  return Array.from(layers.values(), ({ site, rest, layers: those }) => `${site} ${ranges(those)} ${rest}`);
}

/** llama.cpp numbers nodes by `-3`, weights by `blk.3.`, caches by `_l3`. */
function template(signature: string, layer: number): string {
  return signature.replace(/(?<=[a-z]-|\bblk\.|_l)\d+\b/g, (number) => {
    const distance = Number(number) - layer;
    return distance === 0 ? "N" : `{N${distance > 0 ? "+" : "-"}${Math.abs(distance)}}`;
  });
}

/** [0, 1, 2, 5] as "0-2, 5". */
function ranges(layers: readonly number[]): string {
  const starts = layers.filter((layer) => !layers.includes(layer - 1));
  return starts.map((start) => {
    let end = start;
    while (layers.includes(end + 1)) end++;
    return end === start ? `${start}` : `${start}-${end}`;
  }).join(", ");
}

/** The lines of the model in a GGUF. */
export async function nodesOf(path: string): Promise<string[]> {
  const model = await addon().loadModel(path, { nGpuLayers: 0, useMmap: false });
  try {
    return nodeLines(model.siteNodes());
  } finally {
    model.dispose();
  }
}

/** The lines of architectures of test/support/tiny-architectures.ts. */
export async function tinyNodes(names: readonly string[]): Promise<NodeLists> {
  using space = scratch();
  const lists: NodeLists = {};
  for (const name of names) {
    const path = space.path(`${name}.gguf`);
    writeFileSync(path, architectureGguf(name));
    lists[name] = await nodesOf(path);
  }
  return lists;
}

/** What is pinned in test/golden/nodes, and which versions it was written by. */
export interface NodeGolden {
  nodeLlamaCpp: string;
  llamaCpp: string;
  architectures: NodeLists;
}

export function goldenPath(which: "tiny" | "every"): string {
  return join(packageRoot, "test", "golden", "nodes", `${which}.json`);
}

export function readGolden(which: "tiny" | "every"): NodeGolden {
  return JSON.parse(readFileSync(goldenPath(which), "utf8")) as NodeGolden;
}

/** What changed of one architecture: lines that are gone (-) and new (+). */
export function changesOf(before: readonly string[] | undefined, after: readonly string[] | undefined): string[] {
  if (!after) return ["is gone, or no model of it can be made"];
  const gone = (before ?? []).filter((line) => !after.includes(line)).map((line) => `- ${line}`);
  const added = after.filter((line) => !before?.includes(line)).map((line) => `+ ${line}`);
  return [...(before ? [] : ["is new"]), ...gone, ...added];
}

/** What changed of all architectures: the names of those that changed alike, then how. */
export function groupedChanges(before: NodeLists, after: NodeLists): string[] {
  const groups = new Map<string, string[]>();
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const changes = changesOf(before[name], after[name]).join("\n");
    if (changes) groups.set(changes, [...groups.get(changes) ?? [], name]);
  }
  return Array.from(groups, ([changes, names]) => [names.join(", "), ...changes.split("\n").map((line) => `  ${line}`)]).flat();
}
