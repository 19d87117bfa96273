import { afterAll, expect, test } from "@jest/globals";
import type { Model } from "../../lib/index.js";
import { HOOK_SITES } from "../../lib/vector/index.js";
import { ALL_ARCHITECTURES } from "../support/tiny-architectures.js";
import { loadArchitecture, ON_DEVICE, scratch } from "../support/tiny-files.js";

const space = scratch();
afterAll(() => space[Symbol.dispose]());

const sitesOf = (model: Model): object =>
  Object.fromEntries(HOOK_SITES.filter((site) => model.hasSite(site)).map((site) => [site, model.siteLayers(site)]));

// Where a graph passes from the CPU to a device, llama.cpp puts copies of nodes between its parts.
(ON_DEVICE ? test : test.skip).each(ALL_ARCHITECTURES)("%s has the same sites wherever its graph is split", async (name) => {
  const onCpu = await loadArchitecture(space, name, { gpuLayers: 0 });
  const expected = sitesOf(onCpu);
  expect(Object.keys(expected).length).toBeGreaterThan(0);
  for (let gpuLayers = 1; gpuLayers <= onCpu.info.nLayer + 1; gpuLayers++) {
    const split = await loadArchitecture(space, name, { gpuLayers });
    expect([gpuLayers, sitesOf(split)]).toEqual([gpuLayers, expected]);
    split.dispose();
  }
  onCpu.dispose();
});
