import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { readMessages } from "../../bin/messages.js";
import type { Dataset } from "../../lib/dataset/index.js";
import {
  demonstrationTokens, evaluationPrompts, formattedPrompts, promptTokens, resolveDemonstrationFormat, resolveFormat,
} from "../../lib/prompt/index.js";
import { askedForm, formatNotice, formatOf, sharedForm, type Format, type Provenance } from "../../lib/vector/index.js";
import { characterVocabulary, FIRST_SPECIAL } from "../support/chat-templates.js";

const TURNS = "{%- for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]";
const GUARD = "Is this safe? {{ messages[0]['content'] }} {{ messages[1]['content'] }} Answer:";
/** A room for every prompt of these tests. */
const withRoom = (template: string) => Object.assign(characterVocabulary(template), { maxContext: 10_000 });
const instruct = withRoom(TURNS);
const base = withRoom("");
const guard = withRoom(GUARD);
const GROUP = { demonstrations: [{ input: "q0", output: "a0" }, { input: "q1", output: "a1" }], query: { input: "q2", output: "a2" } };
const REFUSED = { code: "E_BAD_ARGUMENT" };

test("auto is the template's form if the template writes conversations, and otherwise Q and A", () => {
  expect([instruct, base, guard].map((model) => resolveFormat(model))).toEqual(["chat", "qa", "qa"]);
  expect([base, instruct].map((model) => resolveFormat(model, "raw"))).toEqual(["raw", "raw"]);
  expect(() => resolveFormat(base, "jinja" as never)).toThrow(expect.objectContaining(REFUSED));
});

test("a question in each format, with and without a system message", async () => {
  const asked = async (options: Parameters<typeof promptTokens>[2]): Promise<string> => instruct.text(
    await promptTokens(instruct, "Why?", options),
  );
  expect(await asked({})).toBe("[user]Why?[assistant]");
  expect(await asked({ system: "Be brief." })).toBe("[system]Be brief.[user]Why?[assistant]");
  expect(await asked({ format: "qa" })).toBe("Q:Why?\nA:");
  expect(await asked({ format: "qa", system: "Be brief." })).toBe("Be brief.\n\nQ:Why?\nA:");
  expect(await asked({ format: "raw" })).toBe("Why?");
  expect(await asked({ format: "raw", system: "Be brief." })).toBe("Be brief.\n\nWhy?");
  await expect(promptTokens(base, [{ role: "user", content: "Why?" }])).rejects.toMatchObject(REFUSED);
});

describe("demonstrations", () => {
  const shown = async (instruction: string, options: Parameters<typeof demonstrationTokens>[3], model = instruct): Promise<string> =>
    model.text(await demonstrationTokens(model, instruction, GROUP, options));

  test("are earlier turns of a chat, the first of which begins with the instruction", async () => {
    expect(await shown("", {})).toBe("[user]q0[assistant]a0[user]q1[assistant]a1[user]q2[assistant]");
    expect(await shown("Rhyme.", { format: "chat", system: "Be brief." }))
      .toBe("[system]Be brief.[user]Rhyme.\n\nq0[assistant]a0[user]q1[assistant]a1[user]q2[assistant]");
  });

  test("are written as published for base models, and for datasets with an instruction", async () => {
    const published = "Q:q0\nA:a0\n\nQ:q1\nA:a1\n\nQ:q2\nA:";
    expect(await shown("", {}, base)).toBe(published);
    expect(await shown("Rhyme.", {})).toBe(`Rhyme.\n${published}`);
    expect(await shown("Rhyme.", { format: "qa", system: "Be brief." })).toBe(`Be brief.\n\nRhyme.\n${published}`);
    expect(resolveDemonstrationFormat(instruct, ["", "Rhyme."], {})).toBe("qa");
    expect(resolveDemonstrationFormat(instruct, [""], { promptFormat: "published" })).toBe("qa");
  });

  test.each([
    [{ format: "raw" }], [{ format: "chat", promptFormat: "published" }], [{ promptFormat: "published", system: "Be brief." }],
  ] as const)("cannot be written with %j", (options) => {
    expect(() => resolveDemonstrationFormat(instruct, [], options)).toThrow(expect.objectContaining(REFUSED));
  });
});

describe("prompts of an evaluation", () => {
  test("the prompted baseline is written in the published variant like the other settings: a BOS, and one before every piece", async () => {
    const vocabulary = characterVocabulary("", [{ text: "|" }], { bos: "|", addsBos: true });
    const model = Object.assign(vocabulary, { maxContext: 10_000, info: { ...vocabulary.info, bosToken: FIRST_SPECIAL } });
    const published = { ...settings, promptFormat: "published", evaluationSize: 1, prompted: "Rhyme." } as const;
    const written = async (given: Parameters<typeof formattedPrompts>[2]): Promise<string[]> => {
      const [prompt] = await formattedPrompts(model, data, given);
      return [prompt!.noIcl, prompt!.prompted!].map((tokens) => model.text(tokens));
    };
    expect(await written(published)).toEqual(["||Q:|q1|\nA:", "||Rhyme.|\n\n|Q:|q1|\nA:"]);
    expect(await written({ ...published, promptFormat: "clean" })).toEqual(["|Q:q1\nA:", "|Rhyme.\n\nQ:q1\nA:"]);
  });

  const dataset: Dataset = { name: "D", instruction: "", rows: Array.from({ length: 6 }, (_, i) => ({ input: `q${i}`, output: `a${i}` })) };
  const data = { questions: dataset, icl: dataset };
  const settings = { iclExamples: 1, evaluationSize: 2, evaluateOn: "groups", promptFormat: "clean", maxNewTokens: 5 } as const;

  test("in a chat's form: no stop at Q:, and the demonstrations as turns", async () => {
    const prompts = await formattedPrompts(instruct, data, settings);
    expect(prompts.map(({ noIcl, icl, stop }) => [instruct.text(noIcl), instruct.text(icl), stop])).toEqual([
      ["[user]q1[assistant]", "[user]q0[assistant]a0[user]q1[assistant]", []],
      ["[user]q3[assistant]", "[user]q2[assistant]a2[user]q3[assistant]", []],
    ]);
  });

  test("as Q and A: those of the paper, with its stop", async () => {
    const prompts = await formattedPrompts(instruct, data, settings, { format: "qa" });
    expect(prompts).toEqual(evaluationPrompts(instruct, data, settings));
    expect(prompts[0]).toMatchObject({ stop: ["Q:"], question: "q1", gold: "a1" });
    const opened = await formattedPrompts(base, data, settings, { system: "Be brief." });
    expect(base.text(opened[0]!.noIcl)).toBe("Be brief.\n\nQ:q1\nA:");
  });

  test("a prompt without room for its answer is refused in every format", async () => {
    const small = Object.assign(characterVocabulary(TURNS), { maxContext: 30 });
    await expect(formattedPrompts(small, data, settings)).rejects.toMatchObject({ code: "E_CONTEXT_FULL" });
  });
});

test("vectors of older files say their format by their origin", () => {
  const of = (origin: object, more: object = {}) => formatOf({ origin, ...more } as unknown as Provenance);
  expect(of({ kind: "icl" })).toBe("qa");
  expect(["question", "chat", "none"].map((template) => of({ kind: "pairs", template }))).toEqual(["qa", "chat", "raw"]);
  expect(of({ kind: "pairs" }, { format: "chat" })).toBe("chat");
  expect(of({ kind: "imported" })).toBeUndefined();
});

test.each<[string, Format | undefined, object | undefined, Format, object | undefined, RegExp | undefined]>([
  ["the same", "chat", { a: 1 }, "chat", { a: 1 }, undefined],
  ["the same, without variables", "chat", {}, "chat", undefined, undefined],
  ["an older file, which does not say its variables", "chat", undefined, "chat", { a: 1 }, undefined],
  ["a file that says nothing", undefined, undefined, "chat", { a: 1 }, undefined],
  ["variables where there are none", "qa", undefined, "qa", { a: 1 }, undefined],
  ["another format", "qa", undefined, "chat", undefined, /^v was made in the format qa, but is used in the format chat; .* format chat, or/],
  ["another format and other variables", "chat", { a: 1 }, "raw", {}, /^v was made in the format chat, but is used in the format raw; /],
  ["other variables", "chat", { a: 1 }, "chat", { a: "1" }, /made with the template variable a=1, but is used with the template variable a="1"; /],
  ["variables left out", "chat", { a: [1], b: null }, "chat", undefined, /variables a=\[1\], b=null, but is used with no template variables; /],
  ["variables added", "chat", {}, "chat", { a: false }, /with no template variables, but is used with the template variable a=false; /],
])("the notice about the use of a vector: %s", (_, format, made, usedFormat, used, expected) => {
  const provenance = { origin: { kind: "imported" }, format, templateVariables: made } as unknown as Provenance;
  const notice = formatNotice("v", provenance, { format: usedFormat, templateVariables: used as Record<string, unknown> });
  if (expected) expect(notice).toMatch(expected);
  else expect(notice).toBeUndefined();
});

test("a vector records how it was asked, as it was then; a derived one what its parts have in common", () => {
  const templateVariables = { a: { b: 1 } };
  const asked = askedForm("chat", { system: "s", templateVariables });
  templateVariables.a.b = 2;
  expect(asked).toEqual({ format: "chat", system: "s", templateVariables: { a: { b: 1 } } });
  expect(askedForm("chat", {})).toEqual({ format: "chat", templateVariables: {} });
  expect(askedForm("qa", { templateVariables })).toEqual({ format: "qa" });
  const shared = (...all: object[]) => sharedForm(all.map((each) => ({ origin: { kind: "imported" }, ...each }) as unknown as Provenance));
  expect(shared(asked, askedForm("chat", { system: "s", templateVariables: { a: { b: 1 } } }))).toEqual(asked);
  expect(shared(asked, askedForm("chat", {}))).toEqual({ format: "chat" });
  expect(shared(asked, { format: "qa" }, {})).toEqual({});
});

describe("a file of messages", () => {
  async function read(content: string): ReturnType<typeof readMessages> {
    const folder = await mkdtemp(join(tmpdir(), "llama-steer-"));
    try {
      await writeFile(join(folder, "chat.json"), content);
      return await readMessages(join(folder, "chat.json"));
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  test("is a list of roles and contents", async () => {
    const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: "Why?" }];
    expect(await read(`${JSON.stringify(messages)}\n`)).toEqual(messages);
    await expect(readMessages("gone.json")).rejects.toMatchObject({ code: "E_NOT_FOUND" });
  });

  test.each([
    ["[]", /chat\.json: .*the list has 0 items/], ['{"role": "user"}', /chat\.json: the content: expected a list/],
    ['[{"role": "user", "content": "q"}\n', /chat\.json is not JSON: .*position 33\b/], ['[{"role": "user"}]', /0\.content/],
    ['[{"role": "user", "content": "q", "name": "x"}]', /name/],
  ])("%s is refused", async (content, message) => {
    await expect(read(content)).rejects.toMatchObject({ ...REFUSED, message: expect.stringMatching(message) });
  });
});
