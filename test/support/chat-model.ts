import { readFileSync, writeFileSync } from "node:fs";
import { extract, loadDataset, loadModel } from "../../lib/index.js";
import { readGguf } from "./gguf-reader.js";
import { ggufBytes } from "./gguf-writer.js";
import type { Scratch } from "./tiny-files.js";

const TEMPLATE = "{% for m in messages %}{% if m.role == 'user' %}{{ 'Q:' + m.content + '\\nA:' }}"
  + "{% else %}{{ m.content + '\\n\\n' }}{% endif %}{% endfor %}";

/** The embedded model as a chat model: with a template of turns, and answers that end with their line. */
export function writeChatModel(path: string): void {
  const { metadata, tensors } = readGguf(readFileSync("models/tiny/tiny.gguf"));
  const endOfLine = (metadata["tokenizer.ggml.tokens"] as string[]).indexOf("\n");
  const own = { "tokenizer.chat_template": TEMPLATE, "tokenizer.ggml.eot_token_id": endOfLine, "llama.context_length": 8192 };
  writeFileSync(path, ggufBytes({ ...metadata, ...own }, tensors));
}

/** Such a model, chat.gguf, and a vector for it, italian.safetensors. */
export async function writeChatFiles(space: Scratch): Promise<void> {
  writeChatModel(space.path("chat.gguf"));
  const model = await loadModel(space.path("chat.gguf"), { threads: 1, gpuLayers: 0, vet: false });
  const [positive, negative] = await Promise.all(["ITA", "ENG"].map((name) => loadDataset(name, "models/tiny/datasets")));
  const vector = await extract(model, { positive: positive!, negative: negative!, iclExamples: 2, support: 6, maxNewTokens: 12 });
  await vector.save(space.path("italian.safetensors"));
  model.dispose();
}
