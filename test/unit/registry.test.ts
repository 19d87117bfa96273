import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { datasetNames, datasetsFolder } from "../../lib/dataset/dataset.js";
import { findModel, isInstalled, isOwn, modelPath, parseRegistry, registryModels } from "../../lib/models/registry.js";
import { parseHubAddress } from "../../lib/models/hub.js";
import { temporaryFolder } from "../support/io-helpers.js";

function registryText(change: (model: Record<string, unknown>) => void): string {
  const model = structuredClone(registryModels()[0]) as unknown as Record<string, unknown>;
  change(model);
  return JSON.stringify({ version: 1, models: [model] });
}

test("the package's registry is valid and every hub address parses", () => {
  const models = registryModels();
  expect(models.map((model) => model.name))
    .toEqual([
      "smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-1.5b-instruct", "qwen2.5-1.5b-instruct",
      "qwen3-1.7b", "llama-3.2-1b-instruct", "gemma-3-1b-it",
      "tiny", "tiny-formality", "llama-guard-2-8b", "llama-guard-3-1b", "llama-guard-3-8b",
    ]);
  for (const source of models.flatMap((model) => model.sources)) {
    if (source.kind === "hub") expect(parseHubAddress(source.address).revision).toBe("main");
  }
});

test.each([
  ["a hash that is too short", (model: Record<string, unknown>) => { model["sha256"] = "abc"; }, /sha256/],
  ["a file outside the models folder", (model: Record<string, unknown>) => { model["file"] = "../x.gguf"; }, /plain file name/],
  ["an unknown field", (model: Record<string, unknown>) => { model["colour"] = "red"; }, /colour/],
  [
    "a model of the package with another source",
    (model: Record<string, unknown>) => { (model["sources"] as object[]).push({ kind: "package", folder: "tiny" }); }, /no other source/,
  ],
  ["no hash where wheels are a source", (model: Record<string, unknown>) => { delete model["sha256"]; }, /expected size and sha256/],
  ["no source", (model: Record<string, unknown>) => { model["sources"] = []; }, /sources/],
])("parseRegistry refuses %s", (_, change, message) => {
  expect(() => parseRegistry(registryText(change))).toThrow(message);
});

test("parseRegistry refuses text that is not JSON, and a name that occurs twice", () => {
  expect(() => parseRegistry("{")).toThrow(expect.objectContaining({ code: "E_BAD_ARGUMENT" }));
  const [model] = registryModels();
  expect(() => parseRegistry(JSON.stringify({ version: 1, models: [model, model] }))).toThrow(/smollm2-135m occurs twice/);
});

test("the models of the package are there, whole, with datasets of their own", async () => {
  for (const name of ["tiny", "tiny-formality"]) {
    const model = findModel(name);
    expect({ own: isOwn(model), installed: isInstalled(model) }).toEqual({ own: true, installed: true });
    expect(createHash("sha256").update(await readFile(modelPath(model))).digest("hex")).toBe(model.sha256);
    expect(datasetNames(datasetsFolder(name))).toEqual(expect.arrayContaining([
      "ENG", "ITA", "FRA", "SPA", "ZHO", "ENi2f", "ENf2i", "ENsafe", "ENunsafe",
    ]));
  }
  expect(datasetsFolder(modelPath(findModel("tiny")))).toBe(datasetsFolder("tiny"));
  expect(datasetsFolder("gemma3-270m")).toBe(datasetsFolder());
});

test("an unknown name gets the known ones and the nearest", () => {
  expect(() => findModel("gema3-270")).toThrow(expect.objectContaining({
    code: "E_NOT_FOUND",
    message: expect.stringMatching(/"gema3-270"; did you mean gemma3-270m\? \(known models: smollm2-135m, gemma3-270m/),
  }));
  expect(() => findModel("qwerty")).toThrow(expect.objectContaining({ message: expect.not.stringContaining("did you mean") }));
});

test("a model is installed when its file has the right size", async () => {
  const home = await temporaryFolder();
  process.env["LLAMA_STEER_HOME"] = home;
  const model = { file: "tiny.gguf", size: 4 };
  expect(modelPath(model)).toBe(join(home, "models", "tiny.gguf"));
  expect(isInstalled(model)).toBe(false);
  await mkdir(join(home, "models"));
  await writeFile(modelPath(model), "GGU");
  expect(isInstalled(model)).toBe(false);
  await writeFile(modelPath(model), "GGUF");
  expect(isInstalled(model)).toBe(true);
});
