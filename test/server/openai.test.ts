import OpenAI from "openai";
import { describe, expect, test } from "@jest/globals";
import { servedForFile } from "../support/served.js";

const { server, ask } = await servedForFile();
const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
const QUESTION = "How can I stay healthy?";
const messages = [{ role: "user" as const, content: QUESTION }];
const chat = { model: "chat", messages, max_tokens: 12 };

/** The extension fields, which OpenAI's types do not know. */
const ours = <T>(value: unknown): T => value as T;

describe("OpenAI's client", () => {
  test("lists the models", async () => {
    const ids: string[] = [];
    for await (const { id } of client.models.list()) ids.push(id);
    expect(ids).toEqual(["chat", "tiny"]);
    expect(await client.models.retrieve("chat")).toMatchObject({ object: "model", owned_by: "llama-steer", loaded: true });
    const source = async (id: string): Promise<unknown> => ours<{ source: unknown }>(await client.models.retrieve(id)).source;
    expect([await source("chat"), await source("tiny")]).toEqual([null, "tiny"]);
  });

  test("chats, whole and as a stream, with usage", async () => {
    const whole = await client.chat.completions.create(chat);
    expect(whole).toMatchObject({ object: "chat.completion", model: "chat" });
    const [choice] = whole.choices;
    expect(choice!.message).toMatchObject({ role: "assistant", refusal: null });
    expect(choice!.message.content!.length).toBeGreaterThan(3);
    expect(whole.usage!.total_tokens).toBe(whole.usage!.prompt_tokens + whole.usage!.completion_tokens);
    expect(whole.usage!.completion_tokens).toBeGreaterThan(1);

    const stream = await client.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const text = chunks.map(({ choices: [each] }) => each?.delta.content ?? "").join("");
    expect(text).toBe(choice!.message.content);
    expect(chunks[0]!.choices[0]!.delta).toEqual({ role: "assistant", content: "" });
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe(choice!.finish_reason);
    const { prompt_tokens: nPrompt, completion_tokens: nAnswer } = whole.usage!;
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: {
      prompt_tokens: nPrompt, completion_tokens: nAnswer, prompt_tokens_details: { cached_tokens: nPrompt - 1 },
    } });
  });

  test("its helper of streams reads them", async () => {
    const whole = await client.chat.completions.create(chat);
    const content = await client.chat.completions.stream(chat).finalContent();
    expect(content).toBe(whole.choices[0]!.message.content);
  });

  test("continues texts, several at once, with echo", async () => {
    const prompt = [`Q:${QUESTION}\nA:`, "Q:What do bees make?\nA:"];
    const { choices, usage } = await client.completions.create({ model: "tiny", prompt, max_tokens: 6, n: 2, echo: true, temperature: 0 });
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(choices.map(({ text }) => text.startsWith(prompt[0]!))).toEqual([true, true, false, false]);
    expect(choices[0]!.text).toBe(choices[1]!.text);
    expect(usage!.completion_tokens).toBe(24);
    const stream = await client.completions.create({ model: "tiny", prompt: prompt[1]!, max_tokens: 6, stream: true, echo: true });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]!.text;
    expect(text).toBe(choices[2]!.text);
  });

  test("tells thoughts from the answer, though their marks are several tokens, and a stop string holds back text", async () => {
    const written = "<think>Is 5 < 6?</think> Yes, it is.";
    const { json: { tokens } } = await ask("POST", "/v1/score", { model: "chat", prompt: "Q:", continuation: written });
    const ids = (tokens as Array<{ id: number }>).map(({ id }) => id);
    expect(ids.length).toBeGreaterThan(15);
    const request = { ...chat, first_tokens: ids, max_tokens: ids.length, stop: ["</thinker>", "it isn't"] };
    const { message } = (await client.chat.completions.create(request)).choices[0]!;
    expect(message).toMatchObject({ content: "Yes, it is.", reasoning_content: "Is 5 < 6?" });
    const said = { content: "", reasoning_content: "" };
    for await (const { choices: [each] } of await client.chat.completions.create({ ...request, stream: true })) {
      const delta = ours<Partial<typeof said>>(each?.delta ?? {});
      said.content += delta.content ?? "";
      said.reasoning_content += delta.reasoning_content ?? "";
    }
    expect(said).toEqual({ content: "Yes, it is.", reasoning_content: "Is 5 < 6?" });
  });

  test("stops at a text, and at max_tokens", async () => {
    const whole = await client.completions.create({ model: "tiny", prompt: `Q:${QUESTION}\nA:`, max_tokens: 12 });
    expect(whole.choices[0]!.finish_reason).toBe("length");
    const word = whole.choices[0]!.text.trim().split(" ")[2]!;
    const cut = await client.completions.create({ model: "tiny", prompt: `Q:${QUESTION}\nA:`, max_tokens: 12, stop: [word] });
    expect(cut.choices[0]!.finish_reason).toBe("stop");
    expect(cut.choices[0]!.text).toBe(whole.choices[0]!.text.slice(0, whole.choices[0]!.text.indexOf(word)));
  });

  test("n answers with a seed: different ones, and the same again", async () => {
    const settings = { ...chat, n: 4, temperature: 1.5, seed: 11 };
    const texts = (answer: OpenAI.ChatCompletion): Array<string | null> => answer.choices.map(({ message }) => message.content);
    const first = texts(await client.chat.completions.create(settings));
    expect(new Set(first).size).toBeGreaterThan(1);
    expect(texts(await client.chat.completions.create(settings))).toEqual(first);
    expect(texts(await client.chat.completions.create({ ...settings, seed: 12 }))[0]).toBe(first[1]);
  });

  test("log probabilities: each token with its alternatives, whole and streamed alike", async () => {
    const settings = { ...chat, logprobs: true, top_logprobs: 3 };
    const whole = (await client.chat.completions.create(settings)).choices[0]!;
    const content = whole.logprobs!.content!;
    expect(content.map(({ token }) => token).join("")).toContain(whole.message.content!);
    for (const { token, bytes, logprob, top_logprobs: top } of content) {
      expect(Buffer.from(bytes!).toString()).toBe(token);
      expect(top).toHaveLength(3);
      expect(top[0]!.token).toBe(token); // greedy
      expect(top[0]!.logprob).toBeCloseTo(logprob, 4);
    }
    const streamed = [];
    for await (const { choices: [each] } of await client.chat.completions.create({ ...settings, stream: true })) {
      streamed.push(...each?.logprobs?.content ?? []);
    }
    expect(streamed.map(({ token }) => token)).toEqual(content.map(({ token }) => token));
    const text = await client.completions.create({ model: "tiny", prompt: "Q:", max_tokens: 4, logprobs: 2 });
    const { tokens, token_logprobs: own, top_logprobs: top, text_offset: offsets } = text.choices[0]!.logprobs!;
    expect([tokens, own, top, offsets].map((list) => list!.length)).toEqual([4, 4, 4, 4]);
    expect(Object.keys(top![0]!)).toHaveLength(2);
    expect(offsets).toEqual([0, 1, 2, 3].map((n) => tokens!.slice(0, n).join("").length));
  });

  test("answers in JSON of a schema", async () => {
    const schema = {
      type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"], additionalProperties: false,
    };
    const { choices } = await client.chat.completions.create({
      ...chat, max_tokens: 40, response_format: { type: "json_schema", json_schema: { name: "answer", schema } },
    });
    expect(typeof (JSON.parse(choices[0]!.message.content!) as { ok: unknown }).ok).toBe("boolean");
  });

  test("what clients always send and nobody needs here changes nothing", async () => {
    const { choices: [plain] } = await client.chat.completions.create({
      ...chat, messages: [{ role: "system", content: "Be brief." }, ...chat.messages],
    });
    const { choices: [other] } = await client.chat.completions.create({
      model: chat.model, max_completion_tokens: chat.max_tokens, user: "u", store: false, metadata: { a: "b" }, service_tier: "auto",
      parallel_tool_calls: true, tools: [], tool_choice: "auto", functions: [], reasoning_effort: "low", verbosity: "low",
      modalities: ["text"],
      response_format: { type: "text" }, prompt_cache_key: "k", safety_identifier: "s", prediction: null, audio: null,
      messages: [
        { role: "developer", content: [{ type: "text", text: "Be " }, { type: "text", text: "brief." }] }, ...chat.messages,
      ],
    });
    expect(other!.message.content).toBe(plain!.message.content);
  });

  test("takes back the messages that clients were sent, with whatever they add to them", async () => {
    const { choices: [said] } = await client.chat.completions.create(chat);
    const next = { role: "user" as const, content: "Why?" };
    const asked = async (message: object): Promise<OpenAI.ChatCompletion> => client.chat.completions.create({
      ...chat, messages: [...messages, ours<OpenAI.ChatCompletionMessageParam>(message), next],
    });
    const { content } = said!.message;
    const [plain, whole, agents] = await Promise.all([
      asked({ role: "assistant", content }), asked(said!.message),
      // As OpenAI's agents do: the fields of the message in each of its parts.
      asked({ role: "assistant", refusal: null, reasoning: "x", content: [{ type: "text", text: content, role: "assistant", extra: [] }] }),
    ]);
    const { message } = plain.choices[0]!;
    expect(message.content!.length).toBeGreaterThan(0);
    expect([whole, agents].map(({ choices: [choice] }) => choice!.message.content)).toEqual([message.content, message.content]);
    await expect(asked({ role: "assistant", content: "", tool_calls: [{ id: "1" }] })).rejects.toThrow("calls no tools");
  });

  test("steering is one more field", async () => {
    const plain = await client.chat.completions.create(chat);
    const steered = await client.chat.completions.create({ ...chat, ...ours<object>({ steering: "one:fixed,1.5" }) });
    expect(steered.choices[0]!.message.content).not.toBe(plain.choices[0]!.message.content);
    expect(ours<{ steering: unknown }>(steered).steering).toEqual([{
      vector: "one", layers: "all", heads: "all", tail: "mean", phases: ["answer"], schedule: { kind: "fixed", alpha: 1.5 },
    }]);
  });

  test("leaving a stream cancels its answer", async () => {
    const stream = await client.chat.completions.create({ ...chat, max_tokens: 4000, temperature: 1, stream: true,
      logit_bias: { [String(await endOfLine())]: -100 } });
    let id = "";
    for await (const chunk of stream) {
      ({ id } = chunk);
      break;
    }
    await expectStatus(id, "cancelled");
    expect((await ask("GET", "/health")).json).toMatchObject({ running: 0, queued: 0 });
  });

  test("aborting before the first token cancels, too", async () => {
    const abort = new AbortController();
    const asked = client.chat.completions.create({ ...chat, max_tokens: 4000 }, { signal: abort.signal });
    setTimeout(() => abort.abort(), 5);
    await expect(asked).rejects.toThrow(OpenAI.APIUserAbortError);
    for (let left = 100; (await ask("GET", "/health")).json.running > 0 && left > 0; left--) await pause();
    expect((await ask("GET", "/health")).json).toMatchObject({ running: 0, queued: 0 });
  });

  test.each<[object, number, string, string | null]>([
    [{ model: "chta" }, 404, "model_not_found", "model"],
    [{ messages: [] }, 400, "E_BAD_ARGUMENT", "messages"],
    [{ messages: [{ role: "tool", content: "x" }] }, 400, "E_BAD_ARGUMENT", "messages.0.role"],
    [{ temperature: 3 }, 400, "E_BAD_ARGUMENT", "temperature"],
    [{ temprature: 1 }, 400, "E_BAD_ARGUMENT", "temprature"],
    [{ tools: [{ type: "function" }] }, 400, "E_BAD_ARGUMENT", "tools"],
    [{ functions: [{ name: "f" }] }, 400, "E_BAD_ARGUMENT", "functions"],
    [{ tool_choice: "required" }, 400, "E_BAD_ARGUMENT", "tool_choice"],
    [{ top_logprobs: 2 }, 400, "E_BAD_ARGUMENT", "top_logprobs"],
    [{ steering: "three:fixed,1" }, 404, "vector_not_found", "steering"],
    [{ steering: "one:fixt,1" }, 400, "E_BAD_SPEC", "steering"],
    [{ steering: "one" }, 400, "E_BAD_SPEC", "steering"], // not calibrated
    [{ steering: "tiny-italian" }, 400, "E_MODEL_MISMATCH", "steering"],
    [{ max_tokens: 9000 }, 400, "E_CONTEXT_FULL", null],
    [{ grammar: "root ::= [" }, 400, "E_BAD_GRAMMAR", null],
    [{ monitor: ["one"] }, 400, "E_BAD_SPEC", "monitor"],
    [{ first_tokens: [999999] }, 400, "E_BAD_TOKEN", null],
  ])("refusals have OpenAI's shape: %j", async (wrong, status, code, param) => {
    for (const stream of [false, true]) {
      const error = await client.chat.completions.create({ ...chat, ...ours<object>(wrong), stream }).then(
        () => { throw new Error("no refusal"); }, (thrown: unknown) => thrown as InstanceType<typeof OpenAI.APIError>,
      );
      expect({ status: error.status, code: error.code, param: error.param }).toEqual({ status, code, param });
      expect(error).toBeInstanceOf(status === 404 ? OpenAI.NotFoundError : OpenAI.BadRequestError);
    }
  });
});

/** The token that ends an answer of `chat`. */
async function endOfLine(): Promise<number> {
  const { json } = await ask("POST", "/v1/score", { model: "tiny", prompt: "x", continuation: "\n" });
  return (json as { tokens: Array<{ id: number }> }).tokens.at(-1)!.id;
}

async function expectStatus(id: string, status: string): Promise<void> {
  let found: unknown;
  for (let left = 100; found !== status && left > 0; left--) {
    found = ((await ask("GET", `/v1/generations/${id}`)).json as { status: unknown }).status;
    await pause();
  }
  expect(found).toBe(status);
}

function pause(): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, 10); });
}
