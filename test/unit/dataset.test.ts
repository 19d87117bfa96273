import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { DATASET_LANGUAGES, languageOfDataset } from "../../lib/evaluate/language-code.js";
import { loadLanguageDetector } from "../../lib/evaluate/language.js";
import { datasetNames, datasetReference, loadDataset, saveDataset, type Dataset } from "../../lib/dataset/dataset.js";
import { promptGroups } from "../../lib/prompt/question.js";
import { temporaryFolder } from "../support/io-helpers.js";

const LANGUAGES = Object.keys(DATASET_LANGUAGES) as Array<keyof typeof DATASET_LANGUAGES>;
const PREFIXES = ["EN", "FR", "IT", "SP", "ZH"];
const STYLES = PREFIXES.flatMap((prefix) => [`${prefix}f2i`, `${prefix}i2f`]);
const SAFETY = PREFIXES.flatMap((prefix) => [`${prefix}safe`, `${prefix}unsafe`]);
const NAMES = [...LANGUAGES, ...STYLES, ...SAFETY].sort();

function inputs(dataset: Dataset): string[] {
  return dataset.rows.map((row) => row.input);
}

/** A word for word comparison that case, space and punctuation do not hide from. */
function words(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
}

test("ours are five languages, each plain, formal, informal, safe and unsafe", () => {
  expect(datasetNames()).toEqual(NAMES);
});

test.each([["ENG", [...LANGUAGES, ...STYLES]], ["ENsafe", SAFETY]] as const)("the queries of %s are the same in every language and style, "
  + "row by row", async (first, names) => {
  for (const part of ["train", "test"]) {
    const expected = inputs(await loadDataset(`${first}_${part}`));
    for (const name of names) expect(inputs(await loadDataset(`${name}_${part}`))).toEqual(expected);
  }
});

test.each(["ITA", "ENsafe"])("%s: at least 150 training rows, so 30 prompts with 4 demonstrations, and 50 questions to evaluate "
  + "on", async (name) => {
  const train = await loadDataset(`${name}_train`);
  expect(train.rows.length).toBeGreaterThanOrEqual(150);
  expect(promptGroups(train, 4).length).toBeGreaterThanOrEqual(30);
  expect((await loadDataset(`${name}_test`)).rows.length).toBeGreaterThanOrEqual(50);
});

test.each(["ENG", "ENsafe"])("%s: no query occurs twice, neither within a part nor in both", async (name) => {
  const queries = [...inputs(await loadDataset(`${name}_train`)), ...inputs(await loadDataset(`${name}_test`))].map(words);
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

// Chance is 0.2; slang and short sentences are the harder ones. Measured: eld 1.00 throughout.
test.each(NAMES)("%s: its gold answers are detected as its language", async (name) => {
  const rows = [...(await loadDataset(`${name}_train`)).rows, ...(await loadDataset(`${name}_test`)).rows];
  const detector = await loadLanguageDetector();
  const right = rows.filter((row) =>
    detector.detect(row.output, Object.values(DATASET_LANGUAGES)).language === languageOfDataset(name)).length;
  expect(right / rows.length).toBeGreaterThanOrEqual(0.99);
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
  await expect(loadDataset("ITA")).rejects.toMatchObject({
    code: "E_NOT_FOUND", message: expect.stringMatching(/"ITA"\. There are ENsafe, ITunsafe in /),
  });
});

test("a slip in a name finds the name that was meant", async () => {
  await expect(loadDataset("ITa_test")).rejects.toMatchObject({
    code: "E_NOT_FOUND", message: expect.stringMatching(/^no dataset is called "ITa_test"; did you mean ITA\?/),
  });
});

test("a datasets folder that is missing, or is a file, holds none", async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, "file"), "");
  for (const path of [join(folder, "no"), join(folder, "file")]) {
    process.env["LLAMA_STEER_DATASETS"] = path;
    expect(datasetNames()).toEqual([]);
    await expect(loadDataset("ITA")).rejects.toMatchObject({
      code: "E_NOT_FOUND", message: expect.stringContaining(`There are none in ${path}`),
    });
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
  ["text that is not JSON", "[\n{\n", /line 2: it is not JSON/],
  ["a line whose row is cut off", '[{"input": "q", "output": "a"\n', /line 1: it is not JSON/],
  ["a line whose list is cut off", '[{"input": "q", "output": "a"}\n', /line 1: it is not JSON: it ends inside its list/],
  ["a comma too many", '[\n{"input": "q", "output": "a"},\n]', /line 3: it is not JSON/],
  ["an object", '{"rows": []}', /expected a list of rows, found an object/],
  ["an empty list", "[]", /contains no rows/],
  ["a row that is text", JSON.stringify([...ROWS, "q"], null, 1), /line 10: expected an object of columns, found a text/],
  ["a row of null", JSON.stringify([null]), /line 1: .*object.* found null/],
  [
    "a row without an answer", JSON.stringify([ROWS[0], { input: "q" }], null, 1),
    /line 6: "output" must be a text that is not empty; found nothing; the row has the columns "input"$/,
  ],
  ["a row without columns", "[{}]", /line 1: "input" .* found nothing; the row has no columns$/],
  ["an answer that is a number", JSON.stringify([{ input: "q", output: 5 }]), /line 1: "output" .* found the number 5/],
  [
    "an empty query", `[${[...ROWS, { input: "", output: "a" }, { input: 3 }].map((row) => `\n${JSON.stringify(row)}`).join(",")}]`,
    /line 4: "input" .* found an empty text/,
  ],
])("%s is E_BAD_DATASET and says where", async (_, text, message) => {
  const path = join(await temporaryFolder(), "own.json");
  await writeFile(path, text);
  await expect(loadDataset(path)).rejects.toMatchObject({
    name: "SteeringError", code: "E_BAD_DATASET", message: expect.stringMatching(message),
  });
  await expect(loadDataset(path)).rejects.toThrow(path);
});

test("a file that is missing, or a folder, is E_NOT_FOUND", async () => {
  const folder = join(await temporaryFolder(), "folder.json");
  await expect(loadDataset(folder)).rejects.toMatchObject({ code: "E_NOT_FOUND", message: expect.stringContaining("does not exist") });
  await mkdir(folder);
  await expect(loadDataset(folder)).rejects.toMatchObject({ code: "E_NOT_FOUND", message: expect.stringContaining("is a directory") });
});

test.each(["../ITA", "ITA/../ITA", "ITA\\ITA", "..", ".", "", ".._train", "/ITA"])("%j is no name: it would lead out of the folder of "
  + "datasets", async (name) => {
  const folder = await temporaryFolder();
  const refusal = { code: "E_BAD_ARGUMENT", message: expect.stringMatching(/cannot be the name of a dataset: expected a name without/) };
  await expect(loadDataset(name, folder)).rejects.toMatchObject(refusal);
  await expect(saveDataset(join(folder, "a"), { name, rows: ROWS, instruction: "" })).rejects.toMatchObject(refusal);
  await expect(saveDataset(join(folder, "a"), { name: `${name}/x.json`, rows: ROWS, instruction: "" })).rejects.toMatchObject(refusal);
  expect(await readdir(folder)).toEqual([]);
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
