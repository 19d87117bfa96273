import { SteeringError } from "../errors.js";
import { captureActivations, type CaptureOptions, type PromptActivations } from "../capture/index.js";
import { Engine, openEngine, type LoadModelOptions } from "../engine/index.js";
import { generate, scoreTokens, type GenerateOptions, type GenerationStream, type Prompt, type ScoreOptions } from "../generate/index.js";
import { Chat, type ChatOptions } from "./chat.js";

/**
 * Loads a GGUF.
 *
 * @param nameOrPath a registry name (`llama-steer models list`), an address `hf:owner/repo/file.gguf`, or a path to a GGUF
 * @throws SteeringError E_NOT_FOUND, E_BAD_GGUF, E_BAD_ARGUMENT, E_NATIVE, E_ABORTED
 */
export async function loadModel(nameOrPath: string, options: LoadModelOptions = {}): Promise<Model> {
  return new Model(...await openEngine(nameOrPath, options));
}

/** The properties of node-llama-cpp's `Llama` that `fromLlama` reads. */
export interface LlamaLike {
  readonly gpu: "cuda" | "vulkan" | "metal" | false;
  /** 0 = no limit. */
  readonly maxThreads: number;
}

/**
 * Returns options for `loadModel` that match node-llama-cpp's `await getLlama()`: the same back end and at most as many threads. Both may
 * load the same file; the operating system keeps one copy of its pages.
 */
export function fromLlama({ gpu, maxThreads }: LlamaLike): LoadModelOptions {
  return { backend: gpu === false ? "cpu" : gpu, ...(maxThreads > 0 && { threads: maxThreads }) };
}

/**
 * A loaded GGUF that generates, chats and exposes its activations. Free it with `dispose()`, `using` or `await using`.
 *
 * @hideconstructor
 */
export class Model extends Engine {
  /**
   * Continues a prompt, steered by any number of vectors. A text is taken as it is: `prompts.tokens` writes a question in the model's own
   * format. Throws E_BAD_SPEC; reading it throws what `GenerationStream` throws.
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): GenerationStream {
    return generate(this, prompt, options);
  }

  /** Starts a conversation with the model's own chat template; `options` are the defaults of every turn. */
  chat(options: ChatOptions = {}): Chat {
    return new Chat(this, options);
  }

  /**
   * Captures activations at a hook site, `[layers, nSteps, width]` per prompt in order, while the model continues each prompt. Throws
   * E_CONTEXT_FULL, E_BAD_TOKEN, E_NO_SITE, E_SHAPE, E_ABORTED.
   */
  capture(prompts: readonly Prompt[], options: CaptureOptions): AsyncGenerator<PromptActivations, void> {
    if (!Array.isArray(prompts)) throw new SteeringError("E_BAD_ARGUMENT", "prompts must be a list of prompts");
    return captureActivations(this, prompts.map((prompt) => (typeof prompt === "string" ? this.tokenise(prompt) : prompt)), options);
  }

  /**
   * Returns the log probability, in nats, of each token of a continuation of a prompt, steered as in `generate`. Throws E_BAD_TOKEN and
   * what `generate` throws.
   */
  async score(prompt: Prompt, continuation: Prompt, options: ScoreOptions = {}): Promise<number[]> {
    const tokens = typeof continuation === "string" ? this.tokenise(continuation, { bos: false }) : continuation;
    return scoreTokens(this, prompt, tokens, options);
  }
}
