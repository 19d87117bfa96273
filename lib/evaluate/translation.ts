import { SteeringError } from "../errors.js";
import { loadTranslator, type LoadTranslatorOptions } from "../engine/index.js";
import { throwIfAborted } from "../errors.js";

/** What is known of the texts. */
export interface TextTranslatorOptions {
  /** Language of the texts, by ISO 639-3 code; MADLAD-400 finds it out by itself. */
  from?: string;
  signal?: AbortSignal;
}

/** Translates texts to English, whatever does it. */
export interface TextTranslator {
  /** What translates, for the record of a run. */
  readonly name: string;
  /**
   * One translation per text, in their order; an empty text's is empty. One that does not come to an end is cut off.
   *
   * @throws SteeringError E_BAD_ARGUMENT, E_ABORTED, E_DISPOSED, and what `Translator.translate` throws
   */
  translate(texts: readonly string[], options?: TextTranslatorOptions): Promise<string[]>;
  /** Free what it computes with. */
  dispose(): void;
}

/** What is used of `@huggingface/transformers`, an optional package. */
export interface TranslationPipeline {
  (texts: string[], options: { src_lang: string; tgt_lang: string; max_new_tokens: number }): Promise<Array<{ translation_text: string }>>;
  /** Free what it computes with. */
  dispose?(): Promise<unknown>;
}
/** `pipeline` of @huggingface/transformers. */
export type PipelineMaker = (task: "translation", model: string) => Promise<TranslationPipeline>;

/** Which NLLB translates, and with what. */
export interface NllbOptions {
  /** A model of the Hugging Face hub in ONNX; default `Xenova/nllb-200-distilled-600M`. */
  model?: string;
  /** Language of texts for which `translate` is told none, by ISO 639-3 code. */
  from?: string;
  /** Makes the pipeline; default: that of `@huggingface/transformers`. */
  pipeline?: PipelineMaker;
}

const NLLB_MODEL = "Xenova/nllb-200-distilled-600M";
const TRANSFORMERS: string = "@huggingface/transformers";
const ENGLISH = "eng";
/** NLLB's names of languages, by ISO 639-3 code. */
const NLLB_LANGUAGES: Readonly<Record<string, string>> = {
  eng: "eng_Latn", ita: "ita_Latn", fra: "fra_Latn", spa: "spa_Latn", cmn: "zho_Hans", zho: "zho_Hans",
  deu: "deu_Latn", por: "por_Latn", nld: "nld_Latn", pol: "pol_Latn", tur: "tur_Latn", rus: "rus_Cyrl", ukr: "ukr_Cyrl",
  ara: "arb_Arab", arb: "arb_Arab", hin: "hin_Deva", jpn: "jpn_Jpan", kor: "kor_Hang",
};
const MAX_NEW_TOKENS = 256;
/** Texts of one call of the pipeline: between calls a translation can be stopped. */
const TEXTS_PER_CALL = 8;

/**
 * The translator of this name: `none` (undefined), `nllb` or `nllb:<model of the Hugging Face hub>`, or a GGUF as in
 * `loadTranslator`. Throws what that throws, E_BAD_ARGUMENT.
 */
export async function openTranslator(name: string, options: Pick<LoadTranslatorOptions, "signal"> = {}): Promise<TextTranslator | undefined> {
  if (name === "none") return undefined;
  const [, model] = /^nllb(?::(.*))?$/s.exec(name) ?? [];
  if (name === "" || model === "") throw new SteeringError("E_BAD_ARGUMENT", `"${name}" names no translator: none, nllb, nllb:<model> or a GGUF`);
  if (name === "nllb" || model !== undefined) return nllbTranslator(model === undefined ? {} : { model });
  return ggufTranslator(name, options);
}

/** A GGUF, e.g. of MADLAD-400. Throws what `loadTranslator` throws. */
export async function ggufTranslator(nameOrPath: string, options: LoadTranslatorOptions = {}): Promise<TextTranslator> {
  const translator = await loadTranslator(nameOrPath, options);
  return {
    name: nameOrPath,
    translate: (texts, { signal } = {}) => translateWritten(texts, async (written) => (
      (await translator.translate(written, { to: "en", maxNewTokens: MAX_NEW_TOKENS, ...(signal ? { signal } : {}) })).map(({ text }) => text)
    )),
    dispose: () => translator.dispose(),
  };
}

/**
 * NLLB-200 on ONNX Runtime, through the optional package `@huggingface/transformers`, which downloads the model.
 *
 * @throws SteeringError E_NOT_FOUND (the package is not installed), E_BAD_ARGUMENT (a language it is not used for here),
 *   E_DOWNLOAD (the model cannot be had)
 */
export async function nllbTranslator({ model = NLLB_MODEL, from: usual, pipeline }: NllbOptions = {}): Promise<TextTranslator> {
  if (usual !== undefined) nllbLanguage(usual);
  const make = pipeline ?? await transformersPipeline();
  const translator = await make("translation", model).catch((cause: Error) => {
    throw new SteeringError("E_DOWNLOAD", `${model} cannot be loaded: ${cause.message.split("\n")[0]}`, { cause });
  });
  let isDisposed = false;
  const translateSome = async (texts: string[], source: string): Promise<string[]> => {
    const found = await translator(texts, { src_lang: source, tgt_lang: nllbLanguage(ENGLISH), max_new_tokens: MAX_NEW_TOKENS });
    if (found?.length !== texts.length || !found.every((entry) => typeof entry?.translation_text === "string")) {
      throw new SteeringError("E_SHAPE", `${model} gave ${found?.length} translations of ${texts.length} texts, or none in words`);
    }
    return found.map((entry) => entry.translation_text);
  };
  return {
    name: model,
    translate: (texts, { from = usual, signal } = {}) => translateWritten(texts, async (written) => {
      if (from === undefined) throw new SteeringError("E_BAD_ARGUMENT", "NLLB has to be told the language of the texts");
      const source = nllbLanguage(from);
      if (from === ENGLISH) return written;
      const found: string[] = [];
      while (found.length < written.length) {
        throwIfAborted(signal);
        if (isDisposed) throw new SteeringError("E_DISPOSED", "the translator was disposed");
        found.push(...await translateSome(written.slice(found.length, found.length + TEXTS_PER_CALL), source));
      }
      throwIfAborted(signal);
      return found;
    }),
    dispose() {
      if (isDisposed) return;
      isDisposed = true;
      translator.dispose?.().catch(() => undefined); // nobody waits for it, and nothing depends on it
    },
  };
}

/** NLLB's name of a language. Throws E_BAD_ARGUMENT. */
function nllbLanguage(code: string): string {
  if (Object.hasOwn(NLLB_LANGUAGES, code)) return NLLB_LANGUAGES[code]!;
  throw new SteeringError("E_BAD_ARGUMENT", `the language "${code}" is none of ${Object.keys(NLLB_LANGUAGES).join(", ")}`);
}

async function transformersPipeline(): Promise<PipelineMaker> {
  try {
    // By a variable: TypeScript would look for the types of a package that need not be there.
    const { pipeline } = await import(TRANSFORMERS) as { pipeline: PipelineMaker };
    return pipeline;
  } catch (cause) {
    throw new SteeringError("E_NOT_FOUND", `NLLB needs the package ${TRANSFORMERS}, which cannot be loaded (${(cause as Error).message.split("\n")[0]}). Install it: npm install ${TRANSFORMERS}`, { cause });
  }
}

/** Translations of the texts that are not empty, in their places. */
async function translateWritten(texts: readonly string[], translate: (written: string[]) => Promise<string[]>): Promise<string[]> {
  if (!Array.isArray(texts) || !texts.every((text) => typeof text === "string")) throw new SteeringError("E_BAD_ARGUMENT", "texts must be an array of strings");
  const isWritten = (text: string): boolean => text.trim() !== "";
  const written = texts.filter(isWritten);
  const found = (written.length === 0 ? [] : await translate(written)).values();
  return texts.map((text: string) => (isWritten(text) ? found.next().value! : ""));
}
