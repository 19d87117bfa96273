import { SteeringError } from "../errors.js";
import { loadTranslator, type LoadTranslatorOptions } from "../engine/index.js";
import { throwIfAborted } from "../errors.js";

/** Options of `TextTranslator.translate`. */
export interface TextTranslatorOptions {
  /** ISO 639-3 code of the texts' language. MADLAD-400 detects it itself. */
  from?: string;
  signal?: AbortSignal;
}

/** Translates texts to English. */
export interface TextTranslator {
  /** Name to record in a run. */
  readonly name: string;
  /**
   * Translate texts. Returns one translation per text, in order; that of an empty text is empty. Overlong translations are cut off.
   *
   * @throws SteeringError E_BAD_ARGUMENT, E_ABORTED, E_DISPOSED, and what `Translator.translate` throws
   */
  translate(texts: readonly string[], options?: TextTranslatorOptions): Promise<string[]>;
  /** Free the model. */
  dispose(): void;
}

/** The part of `@huggingface/transformers`, an optional package, that is used here. */
export interface TranslationPipeline {
  (texts: string[], options: { src_lang: string; tgt_lang: string; max_new_tokens: number }): Promise<Array<{ translation_text: string }>>;
  /** Free the model. */
  dispose?(): Promise<unknown>;
}
/** The function `pipeline` of `@huggingface/transformers`. */
export type PipelineMaker = (task: "translation", model: string) => Promise<TranslationPipeline>;

/** Options of `nllbTranslator`. */
export interface NllbOptions {
  /** An ONNX model on the Hugging Face hub; default `Xenova/nllb-200-distilled-600M`. */
  model?: string;
  /** ISO 639-3 code of the texts' language, for calls of `translate` without `from`. */
  from?: string;
  /** Makes the pipeline; default: `pipeline` of `@huggingface/transformers`. */
  pipeline?: PipelineMaker;
}

const NLLB_MODEL = "Xenova/nllb-200-distilled-600M";
const TRANSFORMERS: string = "@huggingface/transformers";
const ENGLISH = "eng";
/** NLLB's language names, by ISO 639-3 code. */
const NLLB_LANGUAGES: Readonly<Record<string, string>> = {
  eng: "eng_Latn", ita: "ita_Latn", fra: "fra_Latn", spa: "spa_Latn", cmn: "zho_Hans", zho: "zho_Hans",
  deu: "deu_Latn", por: "por_Latn", nld: "nld_Latn", pol: "pol_Latn", tur: "tur_Latn", rus: "rus_Cyrl", ukr: "ukr_Cyrl",
  ara: "arb_Arab", arb: "arb_Arab", hin: "hin_Deva", jpn: "jpn_Jpan", kor: "kor_Hang",
};
const MAX_NEW_TOKENS = 256;
/** Texts per call of the pipeline. A translation can be aborted between calls. */
const TEXTS_PER_CALL = 8;

/**
 * Open a translator by name: `none` (returns undefined), `nllb`, `nllb:<model on the Hugging Face hub>`, or a GGUF as in
 * `loadTranslator`.
 *
 * @throws SteeringError E_BAD_ARGUMENT and whatever `nllbTranslator` and `loadTranslator` throw
 */
export async function openTranslator(
  name: string,
  options: Pick<LoadTranslatorOptions, "signal"> = {},
): Promise<TextTranslator | undefined> {
  if (name === "none") return undefined;
  const [, model] = /^nllb(?::(.*))?$/s.exec(name) ?? [];
  if (name === "" || model === "") {
    throw new SteeringError("E_BAD_ARGUMENT", `"${name}" does not name a translator; expected none, nllb, nllb:<model> or a GGUF`);
  }
  if (name === "nllb" || model !== undefined) return nllbTranslator(model === undefined ? {} : { model });
  return ggufTranslator(name, options);
}

/** Open a translator in a GGUF file, for example MADLAD-400. Throws whatever `loadTranslator` throws. */
export async function ggufTranslator(nameOrPath: string, options: LoadTranslatorOptions = {}): Promise<TextTranslator> {
  const translator = await loadTranslator(nameOrPath, options);
  return {
    name: nameOrPath,
    translate: (texts, { signal } = {}) => translateWritten(texts, async (written) => {
      const found = await translator.translate(written, { to: "en", maxNewTokens: MAX_NEW_TOKENS, ...(signal ? { signal } : {}) });
      return found.map(({ text }) => text);
    }),
    dispose: () => translator.dispose(),
  };
}

/**
 * Open NLLB-200 on ONNX Runtime through the optional package `@huggingface/transformers`, which downloads the model.
 *
 * @throws SteeringError E_NOT_INSTALLED (that package), E_BAD_ARGUMENT (unsupported language), E_DOWNLOAD (the model cannot
 *   be loaded)
 */
export async function nllbTranslator({ model = NLLB_MODEL, from: usual, pipeline }: NllbOptions = {}): Promise<TextTranslator> {
  if (usual !== undefined) nllbLanguage(usual);
  const make = pipeline ?? await transformersPipeline();
  const translator = await make("translation", model).catch((cause: Error) => {
    throw new SteeringError("E_DOWNLOAD", `cannot load ${model}: ${cause.message.split("\n")[0]}`, { cause });
  });
  let isDisposed = false;
  const translateSome = async (texts: string[], source: string): Promise<string[]> => {
    const found = await translator(texts, { src_lang: source, tgt_lang: nllbLanguage(ENGLISH), max_new_tokens: MAX_NEW_TOKENS });
    if (found?.length !== texts.length || !found.every((entry) => typeof entry?.translation_text === "string")) {
      throw new SteeringError("E_SHAPE",
        `${model} returned ${found?.length} results for ${texts.length} texts; expected one translation per text`);
    }
    return found.map((entry) => entry.translation_text);
  };
  return {
    name: model,
    translate: (texts, { from = usual, signal } = {}) => translateWritten(texts, async (written) => {
      if (from === undefined) throw new SteeringError("E_BAD_ARGUMENT", "NLLB needs to know the language of the texts; pass `from`");
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
      translator.dispose?.().catch(() => undefined); // nothing depends on it
    },
  };
}

/** NLLB's name for a language. Throws E_BAD_ARGUMENT. */
function nllbLanguage(code: string): string {
  if (Object.hasOwn(NLLB_LANGUAGES, code)) return NLLB_LANGUAGES[code]!;
  throw new SteeringError("E_BAD_ARGUMENT", `unsupported language "${code}"; expected one of ${Object.keys(NLLB_LANGUAGES).join(", ")}`);
}

async function transformersPipeline(): Promise<PipelineMaker> {
  try {
    // A variable, because TypeScript would look up the types of a package that may not be installed.
    const { pipeline } = await import(TRANSFORMERS) as { pipeline: PipelineMaker };
    return pipeline;
  } catch (cause) {
    const reason = (cause as Error).message.split("\n")[0];
    throw new SteeringError("E_NOT_INSTALLED",
      `NLLB needs the package ${TRANSFORMERS}, which cannot be loaded (${reason}). Install it: npm install ${TRANSFORMERS}`, { cause });
  }
}

/** Translate the texts that are not empty; empty texts stay empty. */
async function translateWritten(texts: readonly string[], translate: (written: string[]) => Promise<string[]>): Promise<string[]> {
  if (!Array.isArray(texts) || !texts.every((text) => typeof text === "string")) {
    throw new SteeringError("E_BAD_ARGUMENT", "texts must be an array of strings");
  }
  const isWritten = (text: string): boolean => text.trim() !== "";
  const written = texts.filter(isWritten);
  const found = (written.length === 0 ? [] : await translate(written)).values();
  return texts.map((text: string) => (isWritten(text) ? found.next().value! : ""));
}
