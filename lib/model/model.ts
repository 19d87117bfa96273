import { SteeringError } from "../errors.js";
import { captureActivations, type CaptureOptions, type PromptActivations } from "../capture/index.js";
import { Engine, openEngine, type LoadModelOptions } from "../engine/index.js";
import { generate, scoreTokens, type GenerateOptions, type GenerationStream, type Prompt, type ScoreOptions } from "../generate/index.js";
import { Chat, type ChatOptions } from "./chat.js";

/**
 * Load a GGUF.
 *
 * @param nameOrPath name of the registry (`llama-steer models list`), path of a GGUF, or `hf:owner/repo/file.gguf`
 * @throws SteeringError E_NOT_FOUND, E_BAD_GGUF, E_BAD_ARGUMENT, E_NATIVE, E_ABORTED
 */
export async function loadModel(nameOrPath: string, options: LoadModelOptions = {}): Promise<Model> {
  return new Model(...await openEngine(nameOrPath, options));
}

/** What `fromLlama` reads of node-llama-cpp's `Llama`. */
export interface LlamaLike {
  readonly gpu: "cuda" | "vulkan" | "metal" | false;
  /** 0: no limit. */
  readonly maxThreads: number;
}

/**
 * Options for `loadModel` that compute as node-llama-cpp's `await getLlama()` does: on the same back end, with no more
 * threads. Both may load the same file; the system holds its pages once.
 */
export function fromLlama({ gpu, maxThreads }: LlamaLike): LoadModelOptions {
  return { backend: gpu === false ? "cpu" : gpu, ...(maxThreads > 0 && { threads: maxThreads }) };
}

/**
 * A loaded GGUF: generates, chats and shows its activations. Free it with `dispose()`, `using` or `await using`.
 *
 * @hideconstructor
 */
export class Model extends Engine {
  /** Continue a prompt, steered by any number of vectors. Throws what `GenerationStream` throws when it is read; E_BAD_SPEC. */
  generate(prompt: Prompt, options: GenerateOptions = {}): GenerationStream {
    return generate(this, prompt, options);
  }

  /** A conversation in the form of the model's own chat template; `options` count for every turn that has no other. */
  chat(options: ChatOptions = {}): Chat {
    return new Chat(this, options);
  }

  /**
   * Activations at a hook site while the model continues each prompt, `[layers, nSteps, width]`, prompt by prompt in order.
   * Throws E_CONTEXT_FULL, E_BAD_TOKEN, E_NO_SITE, E_SHAPE, E_ABORTED.
   */
  capture(prompts: readonly Prompt[], options: CaptureOptions): AsyncGenerator<PromptActivations, void> {
    if (!Array.isArray(prompts)) throw new SteeringError("E_BAD_ARGUMENT", "capture takes a list of prompts");
    return captureActivations(this, prompts.map((prompt) => (typeof prompt === "string" ? this.tokenise(prompt) : prompt)), options);
  }

  /**
   * Log probability, in nats, of each token of a text that continues a prompt, steered as in `generate`. Throws what that throws, and
   * E_BAD_TOKEN.
   */
  async score(prompt: Prompt, continuation: Prompt, options: ScoreOptions = {}): Promise<number[]> {
    const tokens = typeof continuation === "string" ? this.tokenise(continuation, { bos: false }) : continuation;
    return scoreTokens(this, prompt, tokens, options);
  }
}
