import { readFile, writeFile } from "node:fs/promises";
import { findModel, modelPath } from "../../lib/models/registry.js";

const CHAT = "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}<|assistant|>";

/** Writes `tiny` with a template for chats of any length in the place of its own, which is that of a guard; returns the path. */
export async function tinyWithChat(path: string, template = CHAT): Promise<string> {
  const bytes = await readFile(modelPath(findModel("tiny")));
  const begin = bytes.indexOf("<|user|>Is the last message safe?");
  const end = bytes.indexOf("<|end|><|assistant|>", begin) + "<|end|><|assistant|>".length;
  bytes.write(template.replace("{%", `{%${" ".repeat(end - begin - template.length)}`), begin);
  await writeFile(path, bytes);
  return path;
}
