import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { z } from "zod";
import { parsedBy } from "../../lib/checks.js";
import { assertWritable, parseJson, readUtf8, writeFileAtomic } from "../../lib/formats/index.js";
import { SteeringError } from "../../lib/index.js";
import { steeringSpecSchema, type SteeringSpec } from "../../lib/steering/index.js";

/** More than any context holds. */
const MAX_BYTES = 2 ** 26;
const MAX_MESSAGES = 100_000;
/** Each vector is read at once. */
const MAX_VECTORS = 100;

const messageSchema = z.strictObject({ role: z.enum(["user", "assistant"]), content: z.string() });
const savedSchema = z.strictObject({
  version: z.literal(1, "expected 1, the version that this llama-steer reads"),
  /** As given on the command line. */
  model: z.string(),
  system: z.string().nullable(),
  /** Questions and answers in turn. */
  messages: z.array(messageSchema).max(MAX_MESSAGES)
    .refine(isInTurn, "expected a question of the user and an answer of the assistant in turn"),
  /** Paths of vectors and probes are relative to the file. */
  steering: z.array(steeringSpecSchema).max(MAX_VECTORS),
  steeringOn: z.boolean(),
});

/** A chat in a file. */
export type SavedChat = z.infer<typeof savedSchema>;

/** Writes a chat to a file, atomically. Returns the first folder that had to be created for it. Throws E_WRITE. */
export async function writeChat(path: string, chat: SavedChat): Promise<string | undefined> {
  const created = await assertWritable(path, chat.steering.flatMap(({ vector, gate }) => [vector, ...(gate ? [gate.probe] : [])]));
  const steering = withPaths(chat.steering, (file) => relative(dirname(resolve(path)), resolve(file)));
  await writeFileAtomic(path, `${JSON.stringify({ ...chat, steering }, null, 2)}\n`);
  return created;
}

/** Reads a chat from a file. Throws E_NOT_FOUND, and E_BAD_ARGUMENT naming the place that is wrong. */
export async function readChat(path: string): Promise<SavedChat> {
  const json = parseJson(await readUtf8(path, "E_BAD_ARGUMENT", MAX_BYTES), path, "E_BAD_ARGUMENT");
  const chat = parsedBy(savedSchema, json, (problem) =>
    new SteeringError("E_BAD_ARGUMENT", `${path} is not a saved chat: ${problem}`), "the file");
  return { ...chat, steering: withPaths(chat.steering, (file) => (isAbsolute(file) ? file : join(dirname(path), file))) };
}

/** With other paths of the vectors and of their gates' probes. */
function withPaths(steering: readonly SteeringSpec[], pathOf: (file: string) => string): SteeringSpec[] {
  return steering.map(({ gate, ...spec }) => (
    { ...spec, vector: pathOf(spec.vector), ...(gate && { gate: { ...gate, probe: pathOf(gate.probe) } }) }
  ));
}

function isInTurn(messages: ReadonlyArray<{ role: string }>): boolean {
  return messages.length % 2 === 0 && messages.every(({ role }, index) => role === (index % 2 === 0 ? "user" : "assistant"));
}
