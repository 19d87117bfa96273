import { afterAll, expect, test } from "@jest/globals";
import { loadModel, type Model } from "../../lib/index.js";
import { HOOK_SITES } from "../../lib/vector/index.js";
import { makeArchitecture } from "../support/ask-loader.js";
import { ALL_ARCHITECTURES } from "../support/tiny-architectures.js";
import { loadArchitecture, ON_DEVICE, scratch } from "../support/tiny-files.js";

const space = scratch();
afterAll(() => space[Symbol.dispose]());

const sitesOf = (model: Model): object =>
  Object.fromEntries(HOOK_SITES.filter((site) => model.hasSite(site)).map((site) => [site, model.siteLayers(site)]));

/** Where a graph passes from the CPU to a device, llama.cpp puts copies of nodes between its parts. */
async function compareSplits(load: (gpuLayers: number) => Promise<Model>): Promise<void> {
  const onCpu = await load(0);
  const expected = sitesOf(onCpu);
  expect(Object.keys(expected).length).toBeGreaterThan(0);
  for (let gpuLayers = 1; gpuLayers <= onCpu.info.nLayer + 1; gpuLayers++) {
    const split = await load(gpuLayers);
    expect([gpuLayers, sitesOf(split)]).toEqual([gpuLayers, expected]);
    split.dispose();
  }
  onCpu.dispose();
}

const deviceTest = ON_DEVICE ? test : test.skip;
deviceTest.each(ALL_ARCHITECTURES)("%s has the same sites wherever its graph is split", async (name) => {
  await compareSplits((gpuLayers) => loadArchitecture(space, name, { gpuLayers }));
});

deviceTest("arctic, where a copy's user has the name of its original", async () => {
  const path = space.path("arctic.gguf");
  await makeArchitecture("arctic", path);
  await compareSplits((gpuLayers) => loadModel(path, { threads: 1, gpuLayers, flashAttention: false, kvType: "f32", vet: false }));
});
