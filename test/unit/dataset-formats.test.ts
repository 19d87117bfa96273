import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { parquetWriteFile } from "hyparquet-writer";
import { loadDataset } from "../../lib/index.js";
import { importAlpaca, importBeaverTails, importColumns, importPairs, loadQuestions, saveDataset } from "../../lib/dataset/index.js";
import { temporaryFolder } from "../support/io-helpers.js";

const ROWS = [{ input: "What, \"now\"?", output: "First line.\nSecond line." }, { input: "Und jetzt?", output: "好的\t吧" }];
const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;

async function write(name: string, text: string): Promise<string> {
  const path = join(await temporaryFolder(), name);
  await writeFile(path, text);
  return path;
}

test.each([
  ["rows.json", JSON.stringify(ROWS)],
  ["marked.json", `\ufeff${JSON.stringify(ROWS)}`],
  ["rows.jsonl", `${ROWS.map((row) => JSON.stringify(row)).join("\n")}\n\n`],
  ["rows.ndjson", ROWS.map((row) => JSON.stringify(row)).join("\r\n")],
  [
    "rows.csv",
    `\ufeffinput,id,output\r\n${ROWS.map(({ input, output }, id) => `${quoted(input)},${id},${quoted(output)}`).join("\r\n")}\r\n`,
  ],
])("%s", async (name, text) => {
  expect(await loadDataset(await write(name, text))).toEqual({ name: name.split(".")[0], rows: ROWS, instruction: "" });
});

test("TSV knows no quotes", async () => {
  expect((await loadDataset(await write("rows.tsv", 'input\toutput\nSay "so"\t"\n'))).rows).toEqual([{ input: 'Say "so"', output: '"' }]);
});

test("Parquet, with each of its usual compressions", async () => {
  for (const codec of ["UNCOMPRESSED", "SNAPPY"] as const) {
    const path = join(await temporaryFolder(), "rows.parquet");
    parquetWriteFile({
      filename: path, codec,
      columnData: [
        { name: "input", data: ROWS.map((row) => row.input), type: "STRING" },
        { name: "output", data: ROWS.map((row) => row.output), type: "STRING" },
      ],
    });
    expect((await loadDataset(path)).rows).toEqual(ROWS);
  }
});

test.each([
  ["rows.jsonl", '{"input": "q", "output": "a"}\n{"input": "q"\n', /line 2: it is not JSON/],
  ["list.jsonl", '{"input": "q", "output": "a"}\n\n["q", "a"]\n', /line 3: expected an object of columns, found a list/],
  ["short.csv", 'input,output\n"a\nb",c\nq\n', /line 4: /],
  ["open.csv", 'input,output\n"a,b\n', /line 2: .*quot/i],
  ["gap.csv", 'input,output\n"a\nb",c\nq,\n', /line 4: "output" must be a text that is not empty; found an empty text/],
  ["spread.csv", 'input,output\nq,a\n"two\nlines",""\n', /line 3: "output"/],
  ["named.csv", "query,answer\nq,a\n", /line 2: "input" must be a text that is not empty; found nothing/],
  ["head.csv", "input,output\n", /contains no rows/],
  ["empty.csv", "", /contains no rows/],
  ["no.parquet", "PAR1 and so on", /it is not Parquet/],
])("%s is refused by file and line", async (name, text, message) => {
  const path = await write(name, text);
  await expect(loadDataset(path)).rejects.toMatchObject({ code: "E_BAD_DATASET", message: expect.stringMatching(message) });
  await expect(loadDataset(path)).rejects.toThrow(path);
});

test("a Parquet column of another type is refused by its row", async () => {
  const path = join(await temporaryFolder(), "rows.parquet");
  parquetWriteFile({
    filename: path, columnData: [{ name: "input", data: ["a", "b"], type: "STRING" }, { name: "output", data: [1, 2], type: "INT32" }],
  });
  await expect(loadDataset(path)).rejects.toMatchObject({
    code: "E_BAD_DATASET", message: expect.stringMatching(/row 1: "output" .* found the number 1/),
  });
});

test("bytes that are no UTF-8 are refused, not bent", async () => {
  const path = join(await temporaryFolder(), "rows.json");
  await writeFile(path, Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d]));
  await expect(loadDataset(path)).rejects.toMatchObject({ code: "E_BAD_DATASET", message: expect.stringContaining("not UTF-8") });
});

test("a file that is missing, and a folder", async () => {
  const folder = await temporaryFolder();
  for (const name of ["no.csv", "no.parquet"]) await expect(loadDataset(join(folder, name))).rejects.toMatchObject({ code: "E_NOT_FOUND" });
  await mkdir(join(folder, "folder.jsonl"));
  await expect(loadDataset(join(folder, "folder.jsonl"))).rejects.toMatchObject({ code: "E_NOT_FOUND" });
});

test("Alpaca: without input, query and answer shorter than the limit, the first ones", async () => {
  const row = (instruction: string, output: string, input = ""): object => ({ instruction, input, output });
  const path = await write("alpaca.json", JSON.stringify([
    row("a", "1"), row("b", "2", "context"), row("c".repeat(150), "3"), row("d".repeat(149), "4"), row("e", "5".repeat(150)),
    row("f", "6".repeat(149)), row("g", ""), row("h", "8"),
  ]));
  const all = await importAlpaca(path);
  expect(all.map(({ input }) => input[0])).toEqual(["a", "d", "f", "h"]);
  expect(await importAlpaca(path, { limit: 2 })).toEqual(all.slice(0, 2));
  expect((await importAlpaca(path, { maxLength: 2 })).map(({ input }) => input)).toEqual(["a", "h"]);
  await expect(importAlpaca(await write("other.json", '[\n{"input": "q", "output": "a"}]'))).rejects.toMatchObject({
    code: "E_BAD_DATASET", message: expect.stringMatching(/line 2: "instruction"/),
  });
});

test("BeaverTails: safe or unsafe answers in a seeded order", async () => {
  const rows = Array.from({ length: 40 }, (_, i) => ({ prompt: `p${i}`, response: `r${i}`, is_safe: i % 4 === 0 }));
  const path = await write("beavertails.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));
  const [safe, unsafe] = [await importBeaverTails(path, { safe: true }), await importBeaverTails(path, { safe: false, limit: 20 })];
  expect(safe.map(({ input }) => input).sort()).toEqual(rows.filter((row) => row.is_safe).map((row) => row.prompt).sort());
  expect(unsafe).toHaveLength(20);
  for (const { input, output } of unsafe) expect([rows[Number(input.slice(1))]!.is_safe, output]).toEqual([false, `r${input.slice(1)}`]);
  expect(unsafe.map(({ input }) => Number(input.slice(1)))).not.toEqual(
    unsafe.map(({ input }) => Number(input.slice(1))).sort((a, b) => a - b),
  );
  expect(await importBeaverTails(path, { safe: true })).toEqual(safe);
  expect(await importBeaverTails(path, { safe: true, seed: 1 })).not.toEqual(safe);
  await expect(importBeaverTails(
    await write("b.jsonl", '{"prompt": "p", "response": "r", "is_safe": "no"}'), { safe: true },
  )).rejects.toMatchObject({ message: expect.stringMatching(/line 1: .*"is_safe" true or false/) });
});

test("pairs of text files, line by line", async () => {
  const [informal, formal] = [await write("informal", "hi\nyo there\n"), await write("formal", "Good day.\r\nGreetings.\r\n")];
  expect(await importPairs(informal, formal)).toEqual([{ input: "hi", output: "Good day." }, { input: "yo there", output: "Greetings." }]);
  await expect(importPairs(informal, await write("short", "Good day.\n"))).rejects.toMatchObject({
    message: expect.stringMatching(/1 lines, but .*informal has 2/),
  });
  await expect(importPairs(informal, await write("gap", "Good day.\n\n"))).rejects.toMatchObject({
    message: expect.stringMatching(/gap: it has 1 lines|line 2: it is empty/),
  });
  await expect(importPairs(await write("hole", "a\n\nc\n"), await write("whole", "a\nb\nc\n"))).rejects.toMatchObject({
    message: expect.stringMatching(/hole: line 2: it is empty/),
  });
});

test("named columns of any table, saved where datasets are looked up", async () => {
  const path = await write("faq.csv", "question,reply\nq,a\nr,b\n");
  const rows = await importColumns(path, { input: "question", output: "reply" }, { limit: 1 });
  expect(rows).toEqual([{ input: "q", output: "a" }]);
  const folder = await temporaryFolder();
  const saved = await saveDataset(folder, { name: "FAQ", rows, instruction: "Be brief." });
  expect(JSON.parse(await readFile(saved, "utf8"))).toEqual(rows);
  expect(await loadDataset("FAQ", folder)).toEqual({ name: "FAQ", rows, instruction: "Be brief." });
  expect(saved).toBe(join(folder, "FAQ", "FAQ_train.json"));
});

test.each([
  ["lines.txt", "\ufeff Why?\r\n\n  How, \"so\"? \n"],
  ["lines", "Why?\nHow, \"so\"?"],
  ["inputs.csv", `input\nWhy?\n${quoted('How, "so"?')}\n`],
  ["rows.json", JSON.stringify([{ input: "Why?", output: "So." }, { input: 'How, "so"?' }])],
  ["rows.jsonl", '{"input":"Why?"}\n{"input":"How, \\"so\\"?"}\n'],
])("questions: %s", async (name, text) => {
  expect(await loadQuestions(await write(name, text), "nowhere")).toEqual(["Why?", 'How, "so"?']);
});

test("questions: those of a dataset by its name; a missing or empty file, and one without the column, say what they are", async () => {
  const folder = await temporaryFolder();
  await saveDataset(folder, { name: "MINE", instruction: "", rows: ROWS });
  expect(await loadQuestions("MINE", folder)).toEqual(ROWS.map(({ input }) => input));
  const unknown = { code: "E_NOT_FOUND", message: expect.stringContaining("did you mean MINE") };
  await expect(loadQuestions("MIN", folder)).rejects.toMatchObject(unknown);
  await expect(loadQuestions("missing.txt", folder)).rejects.toMatchObject({ code: "E_NOT_FOUND" });
  await expect(loadQuestions(await write("empty.txt", " \n"), folder)).rejects.toMatchObject({
    code: "E_BAD_DATASET", message: expect.stringMatching(/empty\.txt: it contains no questions/),
  });
  await expect(loadQuestions(await write("rows.json", '[{"question":"Why?"}]'), folder)).rejects.toMatchObject({
    code: "E_BAD_DATASET", message: expect.stringMatching(/"input" must be a text/),
  });
});
