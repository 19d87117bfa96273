import { expect, test } from "@jest/globals";
import { findNodeLlamaCpp } from "#native/prebuilt";
import { groupedChanges, readGolden, tinyNodes } from "../support/site-nodes.js";
import { ARCHITECTURES, OTHER_ARCHITECTURES } from "../support/tiny-architectures.js";

const NAMES = [...ARCHITECTURES, ...OTHER_ARCHITECTURES];

test.each(["tiny", "every"] as const)("test/golden/nodes/%s.json was written by the llama.cpp that is installed", (which) => {
  const { nodeLlamaCpp, llamaCpp } = readGolden(which);
  expect({ version: nodeLlamaCpp, release: llamaCpp }).toEqual({ version: findNodeLlamaCpp()!.version, release: findNodeLlamaCpp()!.release });
});

// `npm run golden:nodes` writes them anew.
test("the hook sites of every tiny architecture are at the nodes that are pinned", async () => {
  const pinned = readGolden("tiny").architectures;
  expect(NAMES.length).toBeGreaterThan(0);
  expect(groupedChanges(Object.fromEntries(NAMES.map((name) => [name, pinned[name] ?? []])), await tinyNodes(NAMES))).toEqual([]);
});
