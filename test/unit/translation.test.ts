import { describe, expect, test } from "@jest/globals";
import type { PipelineMaker } from "../../lib/experiments.js";
import { nllbTranslator, openTranslator } from "../../lib/evaluate/translation.js";

/** A pipeline that says what it was asked, and keeps a record. */
function fakePipeline(translate = (text: string): string => text.toUpperCase()) {
  const calls: Array<{ texts: string[]; from: string; to: string }> = [];
  const made: string[][] = [];
  let disposals = 0;
  const pipeline: PipelineMaker = async (task, model) => {
    made.push([task, model]);
    const call = async (texts: string[], { src_lang: from, tgt_lang: to }: { src_lang: string; tgt_lang: string }) => {
      calls.push({ texts, from, to });
      return texts.map((text) => ({ translation_text: translate(text) }));
    };
    return Object.assign(call, { dispose: async () => { disposals++; } });
  };
  return { pipeline, calls, made, disposals: () => disposals };
}

describe("NLLB", () => {
  test.each([
    ["ita", "ita_Latn"], ["fra", "fra_Latn"], ["spa", "spa_Latn"], ["cmn", "zho_Hans"], ["deu", "deu_Latn"], ["rus", "rus_Cyrl"],
  ])("%s is %s, to English", async (from, code) => {
    const { pipeline, calls, made } = fakePipeline();
    const translator = await nllbTranslator({ pipeline, from });
    expect(await translator.translate(["uno"])).toEqual(["UNO"]);
    expect(calls).toEqual([{ texts: ["uno"], from: code, to: "eng_Latn" }]);
    expect(made).toEqual([["translation", "Xenova/nllb-200-distilled-600M"]]);
    expect(translator.name).toBe("Xenova/nllb-200-distilled-600M");
  });

  test("the language of a call goes before that of the translator, and another model before the usual one", async () => {
    const { pipeline, calls, made } = fakePipeline();
    const translator = await nllbTranslator({ pipeline, from: "ita", model: "own/nllb" });
    await translator.translate(["un"], { from: "fra" });
    expect(calls[0]!.from).toBe("fra_Latn");
    expect(made).toEqual([["translation", "own/nllb"]]);
  });

  test("many texts keep their order and places, the empty ones too, eight at once", async () => {
    const { pipeline, calls } = fakePipeline();
    const translator = await nllbTranslator({ pipeline, from: "ita" });
    const texts = Array.from({ length: 21 }, (_, i) => (i % 7 === 3 ? " " : `testo ${i}`));
    expect(await translator.translate(texts)).toEqual(texts.map((text) => text.trim().toUpperCase()));
    expect(calls.map((call) => call.texts.length)).toEqual([8, 8, 2]);
    expect(await translator.translate(["", "\n"])).toEqual(["", ""]);
    expect(calls).toHaveLength(3);
  });

  test("English stays what it is", async () => {
    const { pipeline, calls } = fakePipeline();
    expect(await (await nllbTranslator({ pipeline })).translate(["one", ""], { from: "eng" })).toEqual(["one", ""]);
    expect(calls).toEqual([]);
  });

  test.each(["en", "xxx", "toString", ""])("the language %j is refused, early and late", async (from) => {
    const { pipeline, calls } = fakePipeline();
    await expect(nllbTranslator({ pipeline, from })).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringContaining("ita"),
    });
    const translator = await nllbTranslator({ pipeline });
    await expect(translator.translate(["uno"], { from })).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
    expect(calls).toEqual([]);
  });

  test("no language, and texts that are none", async () => {
    const translator = await nllbTranslator({ pipeline: fakePipeline().pipeline });
    await expect(translator.translate(["uno"])).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringContaining("language"),
    });
    for (const texts of [
      "uno", [1], undefined,
    ] as unknown[]) await expect(translator.translate(texts as string[], { from: "ita" })).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT",
    });
  });

  test("an abort between calls, and one before", async () => {
    const abort = new AbortController();
    const { pipeline, calls } = fakePipeline((text) => { abort.abort(); return text; });
    const translator = await nllbTranslator({ pipeline, from: "ita" });
    await expect(translator.translate(new Array<string>(20).fill("uno"), { signal: abort.signal })).rejects.toMatchObject(
      { code: "E_ABORTED" },
    );
    expect(calls).toHaveLength(1);
    await expect(translator.translate(["uno"], { signal: abort.signal })).rejects.toMatchObject({ code: "E_ABORTED" });
    expect(calls).toHaveLength(1);
  });

  test("dispose frees the pipeline once, and later calls are refused", async () => {
    const { pipeline, disposals } = fakePipeline();
    const translator = await nllbTranslator({ pipeline, from: "ita" });
    translator.dispose();
    translator.dispose();
    expect(disposals()).toBe(1);
    await expect(translator.translate(["uno"])).rejects.toMatchObject({ code: "E_DISPOSED" });
  });

  test("a model that cannot be had, and one that gives too little", async () => {
    const none: PipelineMaker = () => Promise.reject(new Error("no such model\nat line 1"));
    await expect(nllbTranslator({ pipeline: none, model: "own/nllb" })).rejects.toMatchObject({
      code: "E_DOWNLOAD", message: "cannot load own/nllb: no such model",
    });
    const short: PipelineMaker = async () => async () => [];
    await expect((await nllbTranslator({ pipeline: short, from: "ita" })).translate(["uno"])).rejects.toMatchObject({ code: "E_SHAPE" });
  });

  test("without the package the error says how to get it", async () => {
    for (const open of [() => nllbTranslator(), () => openTranslator("nllb"), () => openTranslator("nllb:own/nllb")]) {
      await expect(open()).rejects.toMatchObject({
        name: "SteeringError", code: "E_NOT_INSTALLED", message: expect.stringContaining("npm install @huggingface/transformers"),
      });
    }
  });
});

describe("translators by name", () => {
  test("none is none", async () => expect(await openTranslator("none")).toBeUndefined());

  test.each(["", "nllb:"])("%j is refused", async (name) => {
    await expect(openTranslator(name)).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
  });

  test("any other name is a GGUF", async () => {
    await expect(openTranslator("/nowhere/madlad.gguf")).rejects.toMatchObject({ code: "E_NOT_FOUND" });
    await expect(openTranslator("nllbx")).rejects.toMatchObject({ code: "E_NOT_FOUND" });
  });
});
