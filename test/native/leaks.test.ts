import { afterAll, expect, test } from "@jest/globals";
import { writeFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { loadClassifier, loadTranslator } from "../../lib/experiments.js";
import { captureMeans } from "../../lib/capture/index.js";
import { generateText } from "../../lib/generate/index.js";
import { addon } from "../../lib/native/index.js";
import { loadTiny, randomVector, scratch } from "../support/tiny-files.js";
import { encodeT5, tinyT5 } from "../support/tiny-t5.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const space = scratch();
const t5 = space.path("t5.gguf");
writeFileSync(t5, encodeT5(tinyT5()));
afterAll(() => space[Symbol.dispose]());

/** Load a model, steer on every path, sample, capture, dispose; classify; translate. */
async function cycle(): Promise<void> {
  const { model } = await loadTiny(space);
  const vectors = await Promise.all((["head_out", "resid_post", "mlp_out"] as const).map(
    (site, seed) => randomVector(model, seed, { site }),
  ));
  await Promise.all([
    generateText(model, "abc", { maxNewTokens: 3, steer: vectors.map((vector) => ({ vector, schedule: { kind: "fixed" as const } })) }),
    generateText(
      model, "abc", { maxNewTokens: 3, steer: [{ vector: vectors[0]!, schedule: { kind: "dynamic" } }], sampling: { temperature: 1 } },
    ),
    captureMeans(model, [{ tokens: [1, 5, 6], weight: 1 }], { site: "head_out", maxNewTokens: 2 }),
  ]);
  model.dispose();
  using classifier = await loadClassifier("tiny-formality", { threads: 1, vet: false });
  await classifier.classify(["text"]);
  using translator = await loadTranslator(t5, { threads: 1, vet: false });
  await translator.translate(["text", "more text"], { to: "en", maxNewTokens: 3 });
}

async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 20)); // finalisers run between turns
  }
}

test("200 cycles of create, steer and dispose leave no native object and no memory behind", async () => {
  await settle(); // test files before this one may share the process
  const before = addon().aliveObjects();
  for (let i = 0; i < 40; i++) await cycle();
  await settle();
  const rss = process.memoryUsage.rss();
  for (let i = 0; i < 200; i++) await cycle();
  await settle();
  for (const [kind, count] of Object.entries(addon()
    .aliveObjects())) expect({ kind, left: count > before[kind as keyof typeof before] }).toEqual({ kind, left: false });
  // A context of the tiny model alone takes more than 1 MB: one in ten left behind would show.
  expect(process.memoryUsage.rss() - rss).toBeLessThan(20e6);
}, 120_000);
