import { z } from "zod";
import { parsedBy } from "../lib/checks.js";
import { listOf, parseJson, readUtf8 } from "../lib/formats/index.js";
import { SteeringError, type ChatMessage } from "../lib/index.js";

/** More text than any context holds. */
const MAX_BYTES = 2 ** 26;
const MAX_MESSAGES = 100_000;

const message = z.strictObject({ role: z.enum(["system", "user", "assistant"]), content: z.string() });

/** Reads a conversation: a JSON list of `{ role, content }`. Throws E_NOT_FOUND, E_BAD_ARGUMENT naming the place. */
export async function readMessages(path: string): Promise<ChatMessage[]> {
  const json = parseJson(await readUtf8(path, "E_BAD_ARGUMENT", MAX_BYTES), path, "E_BAD_ARGUMENT");
  return parsedBy(listOf(message, MAX_MESSAGES, 1), json, (problem) => new SteeringError("E_BAD_ARGUMENT",
    `${path}: ${problem}; expected a list of messages, e.g. [{"role": "user", "content": "Hello!"}]`), "the content");
}
