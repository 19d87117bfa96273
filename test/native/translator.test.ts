import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { writeFileSync } from "node:fs";
import { loadClassifier, loadTranslator, type LoadTranslatorOptions, type Translator } from "../../lib/experiments.js";
import { loadModel } from "../../lib/index.js";
import { openTranslator } from "../../lib/evaluate/translation.js";
import { addon, type NativeModel, type NativeTranslator } from "../../lib/native/index.js";
import type { Metadata } from "../support/gguf-writer.js";
import { referenceTranslation } from "../support/reference-t5.js";
import { scratch } from "../support/tiny-files.js";
import { encodeGguf, tinyModel } from "../support/tiny-model.js";
import { encodeT5, letterTokens, sourceTokens, T5_SHAPE, textOf, tinyT5 } from "../support/tiny-t5.js";

const SEED = 4;
const TEXTS = ["ab cd", "hello world", "x", "the quick brown fox jumps over the lazy dog", "perché no", "a b c d e f g"];
const N_MAX = 24;
/** 200 letters in words: farther apart than the 128 positions at which T5 stops telling distances apart. */
const LONG = Array.from({ length: 40 }, (_, i) => TEXTS[3]!.replaceAll(" ", "").slice(i % 30, (i % 30) + 4)).join(" ");
/** llama.cpp looks GELU up in a table of half precision: about 1e-3 per step. */
const TOLERANCE = 2e-3;

const space = scratch();
const tiny = tinyT5(SEED);
const path = space.path("t5.gguf");
let model: NativeModel;
let native: NativeTranslator;
let translator: Translator;

beforeAll(async () => {
  writeFileSync(path, encodeT5(tiny));
  model = await addon().loadModel(path, { nGpuLayers: 0, useMmap: true });
  native = await model.createTranslator({ nThreads: 1, kvF32: true });
  translator = await load(path);
});

afterAll(() => {
  translator.dispose();
  native.dispose();
  model.dispose();
  space[Symbol.dispose]();
});

function load(file: string, options: LoadTranslatorOptions = {}): Promise<Translator> {
  return loadTranslator(file, { threads: 1, gpuLayers: 0, kvType: "f32", vet: false, ...options });
}

/** A file like the tiny model's, or of another one, with other metadata. */
function changed(name: string, metadata: Metadata, of = tiny): string {
  const file = space.path(`${name}.gguf`);
  writeFileSync(file, encodeT5(of, metadata));
  return file;
}

async function tokensOf(texts: readonly string[], nMax = N_MAX, prefix = "<2en>"): Promise<number[][]> {
  return (await native.translate(texts, prefix, nMax)).map(({ tokens }) => Array.from(tokens));
}

describe("against a forward pass in double precision", () => {
  test.each([...TEXTS, LONG])("%s", async (text) => {
    const expected = referenceTranslation(tiny, sourceTokens("<2en>", text), N_MAX);
    const [found] = await native.translate([text], "<2en>", N_MAX);
    expect(Math.min(...expected.margins)).toBeGreaterThan(2 * TOLERANCE); // or the comparison of tokens says nothing
    expect(Array.from(found!.tokens)).toEqual(expected.tokens);
    expect(found!.isTruncated).toBe(expected.isTruncated);
    expect(Math.abs(found!.logProbability - expected.logProbability)).toBeLessThan(TOLERANCE * expected.margins.length);
  });

  test("the texts tell something: their translations differ, some end and some do not", () => {
    const all = TEXTS.map((text) => referenceTranslation(tiny, sourceTokens("<2en>", text), N_MAX));
    expect(new Set(all.map(({ tokens }) => tokens.join())).size).toBe(TEXTS.length);
    expect(new Set(all.flatMap(({ tokens }) => tokens)).size).toBeGreaterThan(10);
    expect(new Set(all.map(({ isTruncated }) => isTruncated)).size).toBe(2);
  });

  test("a decoder that starts with another token", async () => {
    using other = await load(changed("start", { "t5.decoder_start_token_id": 5 }));
    const [[found], [usual]] = await Promise.all([
      other.translate(["ab cd"], { to: "en", maxNewTokens: N_MAX }), translator.translate(["ab cd"], { to: "en", maxNewTokens: N_MAX }),
    ]);
    expect(found!.text).not.toBe(usual!.text);
  });
});

describe("identities", () => {
  test("many at once are each as alone, in their order", async () => {
    const texts = [...TEXTS, LONG, ...TEXTS.toReversed()];
    const together = await native.translate(texts, "<2en>", N_MAX);
    for (const [i, text] of texts.entries()) {
      const [alone] = await native.translate([text], "<2en>", N_MAX);
      expect(together[i]!.tokens).toEqual(alone!.tokens);
      expect(together[i]!.isTruncated).toBe(alone!.isTruncated);
      expect(Math.abs(together[i]!.logProbability - alone!.logProbability)).toBeLessThan(TOLERANCE * N_MAX);
    }
  });

  test("twice the same, and a long one after a short one after a long one", async () => {
    const [first, short, second] = [await tokensOf([LONG]), await tokensOf(["x"]), await tokensOf([LONG])];
    expect(second).toEqual(first);
    expect(await tokensOf(["x"])).toEqual(short);
  });

  test("fewer tokens are the beginning of more", async () => {
    const [all] = await tokensOf([TEXTS[1]!]);
    expect(await tokensOf([TEXTS[1]!], 3)).toEqual([all!.slice(0, 3)]);
    // The context of so many has to be made anew.
    expect((await tokensOf([TEXTS[2]!], 600))[0]!.slice(0, N_MAX)).toEqual((await tokensOf([TEXTS[2]!]))[0]);
  });

  test("the text is that of the tokens, and says whether it came to an end", async () => {
    const expected = TEXTS.map((text) => referenceTranslation(tiny, sourceTokens("<2en>", text), N_MAX));
    expect(await translator.translate(TEXTS, { to: "en", maxNewTokens: N_MAX })).toEqual(expected.map(({ tokens, isTruncated }) => ({
      text: textOf(tokens), isTruncated,
    })));
  });

  test("no texts are no work", async () => expect(await translator.translate([], { to: "en" })).toEqual([]));

  test("a vocabulary that puts no space before a text separates it from the tag all the same", async () => {
    using other = await load(changed(
      "no-prefix", { "tokenizer.ggml.add_space_prefix": false, "tokenizer.ggml.remove_extra_whitespaces": false },
    ));
    const [found] = await other.translate(["ab cd"], { to: "en", maxNewTokens: N_MAX });
    const withoutFirst = sourceTokens("<2en>", "ab cd").slice(1); // nothing stands before the tag there
    expect(found!.text).toBe(textOf(referenceTranslation(tiny, withoutFirst, N_MAX).tokens));
  });
});

describe("what the encoder reads", () => {
  const reference = (source: number[]): string => textOf(referenceTranslation(tiny, source, N_MAX).tokens);
  const translate = async (text: string, to = "en"): Promise<string> =>
    (await translator.translate([text], { to, maxNewTokens: N_MAX }))[0]!.text;

  test("the tag is one token, and what llama.cpp makes of tag and text together is what we make of them apart", () => {
    const EOS = 1; // what a prompt never gets, and the encoder always
    expect([...model.tokenise("<2en> ab cd", true, true), EOS]).toEqual(sourceTokens("<2en>", "ab cd"));
  });

  test("another language, another translation", async () => {
    expect(await translate("ab cd", "fr")).toBe(reference(sourceTokens("<2fr>", "ab cd")));
    expect(await translate("ab cd", "fr")).not.toBe(await translate("ab cd"));
  });

  // Letter by letter: letterTokens knows no marks.
  test.each(["ab <2fr> cd", "<2fr> ab", "ab</s>cd", "<extra_2> b", "a<2en><2fr>b"])("marks in a text are text: %s", async (text) => {
    const tokens = Array.from(model.tokenise(text, false, false));
    const isMarked = tokens.some((token) => ["<2fr>", "<2en>", "<extra_2>"].includes(textOf([token])));
    expect(isMarked).toBe(!text.includes("</s>")); // the tokeniser alone reads them as marks
    const letters = letterTokens(text);
    // A mark that the tokeniser splits off has no space before it.
    const expected = text.startsWith("<extra") ? letters.slice(1) : letters;
    expect(await translate(text)).toBe(reference([...sourceTokens("<2en>", "a").slice(0, 2), ...expected, 1]));
  });

  test("a prefix of words instead of a tag", async () => {
    using other = await load(path, { prefix: (to) => `to ${to}` });
    expect((await other.translate(["ab"], { to: "english", maxNewTokens: N_MAX }))[0]!.text).toBe(reference([
      ...letterTokens("to english"), ...letterTokens("ab"), 1,
    ]));
  });

  test("a language that the model has no tag for", async () => {
    await expect(translate("ab", "xx")).rejects.toMatchObject({
      code: "E_BAD_ARGUMENT", message: expect.stringContaining("no token <2xx>"),
    });
    await expect(translate("ab", "en> <2fr")).rejects.toMatchObject({ code: "E_BAD_ARGUMENT" });
  });
});

describe("refusals", () => {
  const code = (promise: Promise<unknown>): Promise<string> => promise.then(() => "none", (error: { code: string }) => error.code);

  test.each([["a string"], [[3]], [["text", " "]], [undefined]])("texts of %j", async (texts) => {
    expect(await code(translator.translate(texts as string[], { to: "en" }))).toBe("E_BAD_ARGUMENT");
  });

  test.each([0, -1, 1.5, 1025, NaN])("%p new tokens", async (maxNewTokens) => {
    expect(await code(translator.translate(["a"], { to: "en", maxNewTokens }))).toBe("E_BAD_ARGUMENT");
  });

  test("a text that is too long is named, and the translator goes on", async () => {
    await expect(translator.translate(["short", "word ".repeat(200)], { to: "en" })).rejects.toMatchObject({
      code: "E_CONTEXT_FULL", message: "text 1 has 1003 tokens; the translator takes 512: shorten or split it",
    });
    expect(await translator.translate(["short"], { to: "en", maxNewTokens: 2 })).toHaveLength(1);
    // The tag with its space, the end, and a letter more than there is room for.
    expect(await code(translator.translate(["a".repeat(509)], { to: "en", maxNewTokens: 1 }))).toBe("E_CONTEXT_FULL");
    expect(await code(translator.translate(["a".repeat(508)], { to: "en", maxNewTokens: 1 }))).toBe("none");
  });

  test("numbers that are not finite, and the translations after them", async () => {
    const broken = tinyT5(SEED);
    const { data, columns } = broken.weights.get("token_embd.weight")!;
    const [, z] = letterTokens("z") as [number, number];
    data.fill(NaN, z * columns, (z + 1) * columns);
    using other = await load(changed("nan", {}, broken));
    for (const texts of [["z"], ["ab", "z", "ab"], ["z", "z", "z", "z", "z"]]) {
      expect(await code(other.translate(texts, { to: "en" }))).toBe("E_NOT_FINITE");
      // What the attention of a text does not see counts all the same where it is not finite.
      const options = { to: "en", maxNewTokens: 5 };
      expect(await other.translate(["ab cd"], options)).toEqual(await translator.translate(["ab cd"], options));
    }
  });

  test("models of other kinds, each with the way to load it", async () => {
    const language = space.path("tiny.gguf");
    writeFileSync(language, encodeGguf(tinyModel(1)));
    await expect(load(language)).rejects.toMatchObject({ code: "E_BAD_GGUF", message: expect.stringContaining("loadModel") });
    await expect(load("tiny-formality")).rejects.toMatchObject({ code: "E_BAD_GGUF", message: expect.stringContaining("loadClassifier") });
    await expect(loadModel(path, { vet: false })).rejects.toMatchObject({
      code: "E_BAD_GGUF", message: expect.stringContaining("loadTranslator"),
    });
    await expect(loadClassifier(path, { vet: false })).rejects.toMatchObject({ code: "E_BAD_GGUF" });
  });

  const damaged: Array<[string, Partial<typeof T5_SHAPE>, Metadata, RegExp]> = [
    ["a start outside the vocabulary", {}, { "t5.decoder_start_token_id": 39 }, /E_BAD_GGUF .*starts the decoder/],
    ["too few buckets of distances", { nBuckets: 3 }, {}, /E_BAD_GGUF .*3 buckets/],
    ["too many buckets of distances", { nBuckets: 256 }, {}, /E_BAD_GGUF .*256 buckets/],
    ["a decoder deeper than the encoder", { nEncoder: 2, nDecoder: 4 }, {}, /E_BAD_GGUF .*cannot load/],
  ];
  test.each(damaged)("%s", async (name, shape, metadata, expected) => {
    const file = changed(name, metadata, tinyT5(SEED, { ...T5_SHAPE, ...shape }));
    const outcome = await load(file).then(() => "none", (error: { code: string; message: string }) => `${error.code} ${error.message}`);
    expect(outcome).toMatch(expected);
  });

  test.each([0, 513])("%p threads", async (threads) => expect(await code(load(path, { threads }))).toBe("E_BAD_ARGUMENT"));

  test("arguments of the wrong kind, and a second call while one is under way", async () => {
    expect(() => native.translate([1] as unknown as string[], "", 2)).toThrow();
    expect(() => native.translate(["a"], 3 as unknown as string, 2)).toThrow();
    expect(() => native.translate("a" as unknown as string[], "", 2)).toThrow();
    const first = native.translate(["ab"], "<2en>", 4);
    expect(() => native.translate(["ab"], "<2en>", 4)).toThrow(expect.objectContaining({ code: "E_BUSY" }));
    expect(await first).toHaveLength(1);
  });
});

describe("calls that do not end as planned", () => {
  const many = Array.from({ length: 400 }, () => TEXTS[3]!);

  test("an abort stops the call, and the next one is as if nothing had been", async () => {
    const before = await translator.translate(["ab cd"], { to: "en", maxNewTokens: N_MAX });
    for (const delay of [0, 1, 5, 20]) {
      const abort = new AbortController();
      const call = translator.translate(many, { to: "en", signal: abort.signal });
      setTimeout(() => abort.abort(), delay);
      await expect(call).rejects.toMatchObject({ code: "E_ABORTED" });
      expect(await translator.translate(["ab cd"], { to: "en", maxNewTokens: N_MAX })).toEqual(before);
    }
    await expect(translator.translate(["a"], { to: "en", signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "E_ABORTED" });
  });

  test("calls wait for one another, and one that is aborted stops no other", async () => {
    const abort = new AbortController();
    const [first, second, third] = [
      translator.translate(TEXTS, { to: "en", maxNewTokens: N_MAX }), translator.translate(many, { to: "en", signal: abort.signal }),
      translator.translate(["x"], { to: "en", maxNewTokens: 2 }),
    ];
    const refused = expect(second).rejects.toMatchObject({ code: "E_ABORTED" });
    abort.abort();
    expect(await first).toHaveLength(TEXTS.length);
    await refused;
    expect(await third).toHaveLength(1);
  });

  test("dispose stops what is under way, twice is harmless, and later calls are refused", async () => {
    const own = await load(path);
    const call = expect(own.translate(many, { to: "en" })).rejects.toMatchObject({ code: "E_ABORTED" });
    await new Promise((resolve) => setTimeout(resolve, 5));
    own.dispose();
    own.dispose();
    await call;
    await expect(own.translate(["a"], { to: "en" })).rejects.toMatchObject({ code: "E_DISPOSED" });
  });
});

describe("files by name, and their check", () => {
  test("the translator of a file's name, which leaves empty texts empty", async () => {
    process.env["LLAMA_STEER_HOME"] = space.path("home");
    const byName = (await openTranslator(path))!;
    const [first, second] = await translator.translate(["ab cd", "x"], { to: "en" });
    expect(byName.name).toBe(path);
    expect(await byName.translate(["ab cd", "", "x", " \n"], { from: "ita" })).toEqual([first!.text, "", second!.text, ""]);
    await expect(byName.translate(["x"], { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "E_ABORTED" });
    byName.dispose();
    await expect(byName.translate(["x"])).rejects.toMatchObject({ code: "E_DISPOSED" });
  });

  test("vetting tries an encoder–decoder, and one on which llama.cpp ends its process is refused", async () => {
    process.env["LLAMA_STEER_HOME"] = space.path("home");
    using vetted = await load(path, { vet: true });
    expect(await vetted.translate(["a"], { to: "en", maxNewTokens: 2 })).toHaveLength(1);
    await expect(loadModel(path)).rejects.toMatchObject({ code: "E_BAD_GGUF", message: expect.stringContaining("loadTranslator") });
    const file = changed("epsilon", { "t5.attention.layer_norm_rms_epsilon": { f32: -1e-6 } });
    await expect(load(file, { vet: true })).rejects.toMatchObject({
      code: "E_BAD_GGUF", message: expect.stringMatching(/crashes when it works with .*eps/),
    });
  }, 60_000);
});
