import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { DATASET_LANGUAGES, detectLanguage } from "../../lib/evaluate/language.js";
import { datasetNames, datasetReference, loadDataset, type Dataset } from "../../lib/dataset/dataset.js";
import { promptGroups } from "../../lib/experiment/prompt.js";
import { temporaryFolder } from "./io-helpers.js";

const NAMES = Object.keys(DATASET_LANGUAGES) as Array<keyof typeof DATASET_LANGUAGES>;

function inputs(dataset: Dataset): string[] {
  return dataset.rows.map((row) => row.input);
}

/** A word for word comparison that case, space and punctuation do not hide from. */
function words(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
}

test("ours are the five languages", () => {
  expect(datasetNames()).toEqual(["ENG", "FRA", "ITA", "SPA", "ZHO"]);
  expect([...NAMES].sort()).toEqual(datasetNames());
});

test("the queries are the same in every language, row by row", async () => {
  for (const part of ["train", "test"]) {
    const english = inputs(await loadDataset(`ENG_${part}`));
    for (const name of NAMES) expect(inputs(await loadDataset(`${name}_${part}`))).toEqual(english);
  }
});

test("there are at least 150 training rows, so 30 prompts with 4 demonstrations, and 30 test rows", async () => {
  const train = await loadDataset("ITA_train");
  expect(train.rows.length).toBeGreaterThanOrEqual(150);
  expect(promptGroups(train, 4).length).toBeGreaterThanOrEqual(30);
  expect((await loadDataset("ITA_test")).rows.length).toBeGreaterThanOrEqual(30);
});

test("no query occurs twice, neither within a part nor in both", async () => {
  const queries = [...inputs(await loadDataset("ENG_train")), ...inputs(await loadDataset("ENG_test"))].map(words);
  expect(queries.filter((query, index) => queries.indexOf(query) !== index)).toEqual([]);
});

test.each(NAMES)("%s: no answer occurs twice, no row could end or break a prompt, an instruction is there", async (name) => {
  const parts = [await loadDataset(`${name}_train`), await loadDataset(`${name}_test`)];
  const answers = parts.flatMap(({ rows }) => rows.map((row) => words(row.output)));
  expect(answers.filter((answer, index) => answers.indexOf(answer) !== index)).toEqual([]);
  for (const { rows, instruction } of parts) {
    expect(instruction).toMatch(/^\S.*\S$/);
    for (const text of [instruction, ...rows.flatMap((row) => [row.input, row.output])]) {
      expect(text).not.toMatch(/Q:|A:|\n|\ufffd/);
      expect(text).toBe(text.trim());
    }
  }
});

// Measured: 205 of 206 for English, 206 of 206 for the others; chance is 0.2.
test.each(NAMES)("%s: its gold answers are detected as its language", async (name) => {
  const rows = [...(await loadDataset(`${name}_train`)).rows, ...(await loadDataset(`${name}_test`)).rows];
  const right = rows.filter((row) => detectLanguage(row.output).language === DATASET_LANGUAGES[name]).length;
  expect(right / rows.length).toBeGreaterThanOrEqual(0.98);
});

test("text too short to judge has no language", () => {
  expect(detectLanguage("")).toMatchObject({ language: "und" });
  expect(detectLanguage("Sì.")).toMatchObject({ language: "und" });
});

test("a name without a part means the training rows, under the name that was given", async () => {
  const [plain, train] = [await loadDataset("ITA"), await loadDataset("ITA_train")];
  expect(plain.name).toBe("ITA");
  expect(train).toEqual({ ...plain, name: "ITA_train" });
});

const ROWS = [{ input: "q0", output: "a0" }, { input: "q1", output: "a1" }];

test("a folder laid out like the published data is read through LLAMA_STEER_DATASETS", async () => {
  const folder = await temporaryFolder();
  for (const name of ["ITunsafe", "ENsafe"]) await mkdir(join(folder, name));
  await writeFile(join(folder, "ITunsafe", "ITunsafe_train.json"), JSON.stringify(ROWS));
  await writeFile(join(folder, "ITunsafe", "ITunsafe_instr.txt"), "Rispondi.\n");
  await writeFile(join(folder, "ENsafe", "ENsafe_train.json"), JSON.stringify(ROWS));
  process.env["LLAMA_STEER_DATASETS"] = folder;
  expect(datasetNames()).toEqual(["ENsafe", "ITunsafe"]);
  expect(await loadDataset("ITunsafe")).toEqual({ name: "ITunsafe", rows: ROWS, instruction: "Rispondi." });
  expect(await loadDataset("ENsafe_train")).toEqual({ name: "ENsafe_train", rows: ROWS, instruction: "" });
  await expect(loadDataset("ENsafe_test")).rejects.toMatchObject({ code: "E_NOT_FOUND" });
  await expect(loadDataset("ITA")).rejects.toMatchObject({ code: "E_NOT_FOUND", message: expect.stringMatching(/"ITA"; there are ENsafe, ITunsafe in /) });
});

test("a datasets folder that is missing, or is a file, holds none", async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, "file"), "");
  for (const path of [join(folder, "no"), join(folder, "file")]) {
    process.env["LLAMA_STEER_DATASETS"] = path;
    expect(datasetNames()).toEqual([]);
    await expect(loadDataset("ITA")).rejects.toMatchObject({ code: "E_NOT_FOUND", message: expect.stringContaining(`there are none in ${path}`) });
  }
});

test("a path of a JSON file is read with the instruction beside it", async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, "polite_train.json"), JSON.stringify(ROWS));
  expect(await loadDataset(join(folder, "polite_train.json"))).toEqual({ name: "polite_train", rows: ROWS, instruction: "" });
  await writeFile(join(folder, "polite_instr.txt"), "Be polite.");
  expect((await loadDataset(join(folder, "polite_train.json"))).instruction).toBe("Be polite.");
});

test.each([
  ["text that is not JSON", "[{", /is not JSON/],
  ["an object", '{"rows": []}', /a list of/],
  ["an empty list", "[]", /a list of/],
  ["a row that is text", JSON.stringify([...ROWS, "q"]), /row 2: .*object/],
  ["a row of null", JSON.stringify([null]), /row 0: .*object/],
  ["a row without an answer", JSON.stringify([ROWS[0], { input: "q" }]), /row 1, output/],
  ["an answer that is a number", JSON.stringify([{ input: "q", output: 5 }]), /row 0, output/],
  ["an empty query", JSON.stringify([...ROWS, { input: "", output: "a" }, { input: 3 }]), /row 2, input/],
])("%s is E_BAD_DATASET and says where", async (_, text, message) => {
  const path = join(await temporaryFolder(), "own.json");
  await writeFile(path, text);
  await expect(loadDataset(path)).rejects.toMatchObject({ name: "SteeringError", code: "E_BAD_DATASET", message: expect.stringMatching(message) });
  await expect(loadDataset(path)).rejects.toThrow(path);
});

test("a file that is missing, or a folder, is E_NOT_FOUND", async () => {
  const folder = join(await temporaryFolder(), "folder.json");
  await expect(loadDataset(folder)).rejects.toMatchObject({ code: "E_NOT_FOUND", message: expect.stringContaining("ENOENT") });
  await mkdir(folder);
  await expect(loadDataset(folder)).rejects.toMatchObject({ code: "E_NOT_FOUND", message: expect.stringContaining("EISDIR") });
});

test("the reference changes with any row and the instruction, not with the name", async () => {
  const dataset: Dataset = { name: "D", rows: ROWS, instruction: "i" };
  const { name, hash } = datasetReference(dataset);
  expect(name).toBe("D");
  expect(hash).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(datasetReference({ ...dataset, name: "E" }).hash).toBe(hash);
  for (const other of [{ instruction: "j" }, { rows: ROWS.slice(0, 1) }, { rows: [...ROWS].reverse() }]) {
    expect(datasetReference({ ...dataset, ...other }).hash).not.toBe(hash);
  }
});
