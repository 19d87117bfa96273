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

/** What changed of one architecture: sites that it lost or got (!), lines that are gone (-) and new (+). */
export function changesOf(before: readonly string[] | undefined, after: readonly string[] | undefined): string[] {
  if (!after) return ["! is gone"];
  if (!before) return ["! is new", ...after.map((line) => `+ ${line}`)];
  const [lost, won] = [missingFrom(placesOf(before), placesOf(after)), missingFrom(placesOf(after), placesOf(before))];
  return [
    ...(lost.length > 0 ? [`! loses ${lost.join(", ")}`] : []), ...(won.length > 0 ? [`! gains ${won.join(", ")}`] : []),
    ...missingFrom(before, after).map((line) => `- ${line}`), ...missingFrom(after, before).map((line) => `+ ${line}`),
  ];
}

/**
 * What changed of all architectures: names of nodes that came or went; then the names of the architectures that changed alike, and how,
 * first those that are new or gone, or whose sites are.
 */
export function groupedChanges(before: NodeLists, after: NodeLists): string[] {
  const groups = new Map<string, string[]>();
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const changes = changesOf(before[name], after[name]).join("\n");
    if (changes) groups.set(changes, [...groups.get(changes) ?? [], name]);
  }
  const [old, now] = [before, after].map((lists) => [...new Set(Object.values(lists).flat().flatMap(namesIn))]) as [string[], string[]];
  const names = [["gone", missingFrom(old, now)], ["new", missingFrom(now, old)]] as const;
  const isGrave = (changes: string): number => (changes.startsWith("!") ? 0 : 1);
  return [
    ...names.filter(([, those]) => those.length > 0).map(([how, those]) => `names that are ${how}: ${those.sort().join(", ")}`),
    ...[...groups].sort(([a], [b]) => isGrave(a) - isGrave(b))
      .flatMap(([changes, architectures]) => [architectures.join(", "), ...changes.split("\n").map((line) => `  ${line}`)]),
  ];
}

/** "resid_mid 0" and so on, of every site and layer. */
function placesOf(lines: readonly string[]): string[] {
  return lines.flatMap((line) => {
    const [, site, layers = ""] = /^(\w+) ([\d, -]+) \[/.exec(line) ?? [];
    return layers.split(", ").flatMap((range) => {
      const [first, last = first] = range.split("-").map(Number) as [number, number?];
      return site ? Array.from({ length: last - first + 1 }, (_, i) => `${site} ${first + i}`) : [];
    });
  });
}

/** The names of nodes and weights in a line's signature, without their operations. */
function namesIn(line: string): string[] {
  const [, signature = ""] = /\] (.*)/.exec(line) ?? [];
  return signature.split(/[(),=]+/).map((word) => word.trim()).filter((word) => /[a-z]/.test(word) && !word.includes(" "));
}

function missingFrom(these: readonly string[], those: readonly string[]): string[] {
  return these.filter((each) => !those.includes(each));
}
