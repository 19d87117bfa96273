import type { VectorEntry } from "../../server/schemas/index.js";
import type { Asked, Message } from "./request.js";
import { shorthand } from "./shorthand.js";
import type { SteeringEntry } from "./steering.js";

export const LANGUAGES = ["library", "cli", "curl", "python"] as const;
export type Language = typeof LANGUAGES[number];
export const LANGUAGE_TITLES: Readonly<Record<Language, string>> = {
  library: "JavaScript", cli: "Command line", curl: "curl", python: "Python",
};

/** One column's answer, as a program asks for it. */
export interface Copied {
  /** The server's id of the model, and the name or address that a program loads it by; null for a file. */
  model: string;
  source: string | null;
  /** The last question alone, and the whole input of the request. */
  question: string;
  asked: Asked;
  /** The column's system message, which is also in `asked`; empty if there is none. */
  system: string;
  steering: readonly SteeringEntry[];
  body: Readonly<Record<string, unknown>>;
  entries: ReadonlyMap<string, VectorEntry>;
  /** Where the server is, e.g. "http://127.0.0.1:8080". */
  origin: string;
  needsKey: boolean;
}

/** Code that gets the same answer without the page. */
export function codeOf(language: Language, copied: Copied): string {
  return { library: library, cli: commandLine, curl, python }[language](copied);
}

const isGallery = (entries: Copied["entries"], id: string): boolean => entries.get(id)?.source === "gallery";
const fileOf = (id: string): string => `${id}.safetensors`;
const sampled = ({ body }: Copied): boolean => typeof body["temperature"] === "number";
/** All messages, if there are more than the question. */
const conversationOf = (asked: Asked): Message[] | undefined =>
  (isChat(asked) && asked.input.messages.length > 1 ? asked.input.messages : undefined);
const isChat = (asked: Asked): asked is Asked & { input: { messages: Message[] } } => "messages" in asked.input;

const sourceOf = ({ source, model }: Copied): string => source ?? `${model}.gguf`;
/** A comment for what only the server's operator knows. */
const unknownSource = (copied: Copied, mark: string): string[] =>
  (copied.source === null ? [`${mark} Replace ${sourceOf(copied)} by the path of your copy of the server's model file.`] : []);

function library(copied: Copied): string {
  const { question, asked, system, steering, entries, body } = copied;
  const pulled = steering.some(({ vector }) => isGallery(entries, vector));
  const messages = conversationOf(asked);
  const how = isChat(asked) || system === "" ? "" : `, { system: ${quoted(system)} }`; // a chat has it among its messages
  const names = [...(pulled ? ["gallery"] : []), "loadModel", ...(steering.length > 0 ? ["loadSteering"] : []), "prompts"];
  const list = steering.map((entry) => {
    if (!isGallery(entries, entry.vector)) return `  await loadSteering(${quoted(shorthand(entry, fileOf(entry.vector), fileOf))}),`;
    return `  await loadSteering(\`\${await gallery.pull(${quoted(entry.vector)})}${inTemplate(shorthand(entry, "", fileOf))}\`),`;
  });
  const options = [
    ...(steering.length > 0 ? ["steer"] : []), `maxNewTokens: ${body["max_tokens"]}`,
    ...(asked.stop.length > 0 ? [`stop: ${JSON.stringify(asked.stop)}`] : []),
    ...(sampled(copied) ? [`sampling: { temperature: ${body["temperature"]}, seed: ${body["seed"]} }`] : []),
  ];
  return [
    `import { ${names.join(", ")} } from "llama-steer";`, "",
    ...unknownSource(copied, "//"),
    `const model = await loadModel(${quoted(sourceOf(copied))});`,
    ...(list.length > 0 ? ["const steer = [", ...list, "];"] : []),
    `const question = await prompts.tokens(model, ${messages ? JSON.stringify(messages, null, 2) : quoted(question)}${how});`,
    `for await (const { text } of model.generate(question, { ${options.join(", ")} })) process.stdout.write(text);`,
    "model.dispose();",
  ].join("\n");
}

function commandLine(copied: Copied): string {
  const { question, asked, system, steering, entries, body } = copied;
  const turns = conversationOf(asked)?.filter(({ role }) => role !== "system") ?? [];
  const hasTurns = turns.length > 1;
  const pulls = steering.filter(({ vector }) => isGallery(entries, vector)).map(({ vector }) => `llama-steer vectors pull ${shell(vector)}`);
  const parts = [
    `llama-steer generate ${shell(sourceOf(copied))} ${hasTurns ? "--messages messages.json" : shell(question)}`,
    ...steering.map((entry) => `--steer ${shell(shorthand(entry, fileOf(entry.vector), fileOf))}`),
    ...(system === "" ? [] : [`--system ${shell(system)}`]),
    `--max-new-tokens ${body["max_tokens"]}`,
    ...(sampled(copied) ? [`--temperature ${body["temperature"]} --seed ${body["seed"]}`] : []),
  ];
  const file = hasTurns ? [`printf %s ${shell(JSON.stringify(turns, null, 2))} > messages.json`] : [];
  return [...unknownSource(copied, "#"), ...pulls, ...file, parts.join(" \\\n  ")].join("\n");
}

function curl({ asked, body, origin, needsKey }: Copied): string {
  const path = isChat(asked) ? "chat/completions" : "completions";
  return [
    `curl ${origin}/v1/${path} \\`, "  -H 'content-type: application/json' \\",
    ...(needsKey ? ["  -H \"authorization: Bearer $LLAMA_STEER_API_KEY\" \\"] : []),
    `  -d ${shell(JSON.stringify(body, null, 2))}`,
  ].join("\n");
}

function python({ asked, body, origin, needsKey }: Copied): string {
  const { steering, ...known } = body;
  const method = isChat(asked) ? "chat.completions" : "completions";
  const given = Object.entries(known).map(([name, value]) => `    ${name}=${pythonValue(value)},`);
  const key = needsKey ? "os.environ[\"LLAMA_STEER_API_KEY\"]" : "\"none\"";
  return [
    ...(needsKey ? ["import os", ""] : []), "from openai import OpenAI", "",
    `client = OpenAI(base_url="${origin}/v1", api_key=${key})`,
    `answer = client.${method}.create(`, ...given, `    extra_body={"steering": ${pythonValue(steering)}},`, ")",
    `print(answer.choices[0].${isChat(asked) ? "message.content" : "text"})`,
  ].join("\n");
}

const quoted = (text: string): string => JSON.stringify(text);
/** A text as part of a template literal. */
const inTemplate = (text: string): string => text.replace(/[\\`]|\$(?=\{)/g, "\\$&");

/** In single quotes, unless it is one plain word. */
const shell = (text: string): string => (/^[\w.:,=+/@%-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** JSON is Python, except for three words. */
function pythonValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${Object.entries(value).map(([name, each]) => `${quoted(name)}: ${pythonValue(each)}`).join(", ")}}`;
  }
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  return JSON.stringify(value);
}
