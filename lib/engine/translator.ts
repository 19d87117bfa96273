import { SteeringError } from "../errors.js";
import { callAsync, type NativeTranslation, type NativeTranslator } from "../native/index.js";
import { onAbort, throwIfAborted } from "./abort.js";
import type { LoadModelOptions } from "./load-options.js";
import { checkWords } from "./words.js";
import { openTextModel, type TextModelOptions } from "./text-model.js";
import type { ThreadCount } from "./threads.js";
import { TextQueue } from "./text-queue.js";

/** Where a translator computes, and how to tell it the target language. */
export interface LoadTranslatorOptions extends TextModelOptions, Pick<LoadModelOptions, "kvType"> {
  /**
   * Returns the prefix of a text for a target language; its special tokens are parsed. Default: MADLAD-400's tag, `<2en>`. Plain T5 needs
   * words: `() => "translate English to German:"`.
   */
  prefix?: (to: string) => string;
}

/** The target language, and the maximum length. */
export interface TranslateOptions {
  /** Target language, as the model names it; for MADLAD-400 a BCP 47 code such as `en`. */
  to: string;
  /** Maximum tokens of each translation, from 1 to 1024; default 256. */
  maxNewTokens?: number;
  signal?: AbortSignal;
}

/** One translated text. */
export interface Translation {
  text: string;
  /** True if the translation had not ended after `maxNewTokens`. */
  isTruncated: boolean;
}

const DEFAULT_MAX_NEW_TOKENS = 256;

/**
 * Loads a GGUF of a T5-like encoder–decoder that translates: MADLAD-400, T5, mT5.
 *
 * @param nameOrPath as in `loadModel`
 * @throws SteeringError E_NOT_FOUND, E_BAD_GGUF, E_BAD_ARGUMENT, E_LLAMA, E_NATIVE, E_ABORTED
 */
export async function loadTranslator(nameOrPath: string, options: LoadTranslatorOptions = {}): Promise<Translator> {
  const { kvType = "f16", prefix = madladTag } = options;
  return openTextModel(nameOrPath, options, async ({ model, isEncoderDecoder, info, threads }) => {
    if (!isEncoderDecoder) {
      throw new SteeringError("E_BAD_GGUF", `${info.path} is not a translator: it is not an encoder–decoder. `
        + "To load a language model, use loadModel; for a classifier, use loadClassifier");
    }
    return new Translator(await model.createTranslator({ nThreads: threads.most, kvF32: kvType === "f32" }), prefix, threads);
  });
}

function madladTag(to: string): string {
  return `<2${to}>`;
}

/**
 * Translates texts greedily. Free it with `dispose()` or `using`.
 *
 * @hideconstructor
 */
export class Translator implements Disposable {
  private readonly queue = new TextQueue();

  constructor(
    private readonly native: NativeTranslator, private readonly prefix: (to: string) => string, private readonly threads: ThreadCount,
  ) {}

  /**
   * Returns one translation per text, in order. Concurrent calls run one after the other. Texts of one call are computed together, so
   * rounding, and with it the choice between almost equally likely tokens, may differ from translating a text alone.
   *
   * @throws SteeringError E_BAD_ARGUMENT (an empty text, a word of more than 16,384 characters, a language that the model does not
   *   know), E_CONTEXT_FULL (a text of more than 512 tokens), E_NOT_FINITE, E_LLAMA, E_ABORTED, E_DISPOSED
   */
  translate(texts: readonly string[], { to, maxNewTokens = DEFAULT_MAX_NEW_TOKENS, signal }: TranslateOptions): Promise<Translation[]> {
    // The native check that the model knows the language recognises tags of this form only.
    if (typeof to !== "string" || !/^[A-Za-z][\w-]*$/.test(to)) {
      return Promise.reject(new SteeringError("E_BAD_ARGUMENT", `"${to}" is not a language; expected a code such as "en"`));
    }
    return this.queue.run(texts, (own) => this.translateAll(own, this.prefix(to), maxNewTokens, signal));
  }

  /** Frees the model and aborts a call in flight. Calling it twice is harmless. */
  dispose(): void {
    this.native.dispose();
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private async translateAll(
    texts: readonly string[], prefix: string, maxNewTokens: number, signal: AbortSignal | undefined,
  ): Promise<Translation[]> {
    texts.forEach(checkWords);
    checkWords(prefix);
    throwIfAborted(signal);
    const forget = onAbort(signal, () => this.native.abort());
    try {
      return (await callAsync(() => {
        this.native.setThreads(this.threads.now());
        return this.native.translate(texts, prefix, maxNewTokens);
      })).map(read);
    } finally {
      forget();
    }
  }
}

function read({ bytes, isTruncated }: NativeTranslation): Translation {
  // `stream` drops a character that was cut off.
  const text = new TextDecoder().decode(bytes, { stream: true });
  return { text: text.replace(/^ /, ""), isTruncated }; // SentencePiece adds a space before the first word
}
