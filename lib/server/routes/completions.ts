import { Answer } from "../answers/answer.js";
import { sendAnswer } from "../answers/send.js";
import { commonSettings, firstSeed, nextSeed, usualMost, type ChoiceSettings } from "../answers/settings.js";
import { checkLength } from "../../generate/index.js";
import { chatTokens, resolveFormat, type ChatMessage } from "../../prompt/index.js";
import type { Probe } from "../../probe/index.js";
import { assertMadeFor, type ModelFingerprint } from "../../vector/index.js";
import { HttpError } from "../http/errors.js";
import { route, type Call, type Route } from "../http/route.js";
import type { Lease } from "../pool/pool.js";
import {
  chatChunkSchema, chatRequestSchema, chatResponseSchema, completionChunkSchema, completionRequestSchema, completionResponseSchema,
  type ChatRequest, type CompletionRequest,
} from "../schemas/index.js";
import type { Services } from "../services.js";
import { steeringsOf } from "../vectors/steering.js";

/** Most answers of one request: of all its prompts. */
const MOST_ANSWERS = 128;
const streamed = "an answer or, with `stream`, its chunks";

/** The routes of OpenAI's API that write answers. */
export function completionRoutes(services: Services): Route[] {
  return [
    route("POST /v1/chat/completions", {
      summary: "Answer messages, steered", body: chatRequestSchema,
      answers: { description: streamed, schema: chatResponseSchema, other: { "text/event-stream": chatChunkSchema } },
    }, (call) => chat(services, call)),
    route("POST /v1/completions", {
      summary: "Continue a text, steered", body: completionRequestSchema,
      answers: { description: streamed, schema: completionResponseSchema, other: { "text/event-stream": completionChunkSchema } },
    }, (call) => complete(services, call)),
  ];
}

async function chat(services: Services, call: Call<ChatRequest>): Promise<unknown> {
  const { body } = call;
  if ((body.top_logprobs ?? 0) > 0 && !body.logprobs) {
    throw new HttpError(400, "top_logprobs needs logprobs: true", { code: "E_BAD_ARGUMENT", param: "top_logprobs" });
  }
  return answering(services, body, call, async (lease, steer, monitor) => {
    const prompt = await chatPrompt(lease, body);
    const most = body.max_completion_tokens ?? body.max_tokens ?? usualMost(lease.model.maxContext, prompt.length);
    checkLength(lease.model, prompt.length, most); // before anything of it is kept
    const seed = firstSeed(body);
    const choices = Array.from({ length: body.n ?? 1 }, (_, index): ChoiceSettings =>
      ({ index, prompt, echo: "", maxNewTokens: most, seed: nextSeed(seed, index), steer, firstTokens: body.first_tokens ?? [] }));
    const settings = commonSettings(body, monitor, body.logprobs ? body.top_logprobs ?? 0 : undefined);
    return { kind: "chat", settings, choices };
  });
}

/** The tokens of messages. Throws 400 for a model that cannot chat. */
export async function chatPrompt(
  { model, id }: Pick<Lease, "model" | "id">,
  { messages, template_variables: variables, chat_template_kwargs: same, reasoning_effort: effort }:
  Pick<ChatRequest, "messages"> & Partial<Pick<ChatRequest, "template_variables" | "chat_template_kwargs" | "reasoning_effort">>,
): Promise<number[]> {
  if (resolveFormat(model) !== "chat") {
    throw new HttpError(400, `${id} has no template for conversations; use /v1/completions, or an instruct model`,
      { code: "no_chat_template", param: "model" });
  }
  const said = messages.map(({ role, content }): ChatMessage => ({
    role: role === "developer" ? "system" : role,
    content: typeof content === "string" ? content : content.map(({ text }) => text).join(""),
  }));
  const templateVariables = { ...(effort && { reasoning_effort: effort }), ...same, ...variables };
  return chatTokens(model, said, { mayCut: true, templateVariables });
}

async function complete(services: Services, call: Call<CompletionRequest>): Promise<unknown> {
  const { body } = call;
  if (body.echo && typeof body.logprobs === "number") {
    throw new HttpError(400, "echo and logprobs together would need log probabilities of the prompt, which POST /v1/score gives; "
      + "leave out one of them", { code: "E_BAD_ARGUMENT", param: "logprobs" });
  }
  return answering(services, body, call, async ({ model }, steer, monitor) => {
    const prompts = promptsOf(body).map((given) => (typeof given === "string" ? model.tokenise(given) : given));
    const n = body.n ?? 1;
    if (prompts.length * n > MOST_ANSWERS) {
      throw new HttpError(400, `${prompts.length} prompts with ${n} answers each are more than ${MOST_ANSWERS} answers`,
        { code: "E_BAD_ARGUMENT", param: "n" });
    }
    const seed = firstSeed(body);
    const choices = prompts.flatMap((prompt, which) => {
      const maxNewTokens = body.max_tokens ?? usualMost(model.maxContext, prompt.length);
      checkLength(model, prompt.length, maxNewTokens); // before anything of it is kept
      const echo = body.echo ? Buffer.from(model.detokenise(prompt)).toString() : "";
      return Array.from({ length: n }, (_, index): ChoiceSettings => ({
        index: which * n + index, prompt, steer, seed: nextSeed(seed, index), firstTokens: body.first_tokens ?? [], echo, maxNewTokens,
      }));
    });
    return { kind: "text", settings: commonSettings(body, monitor, body.logprobs ?? undefined), choices };
  });
}

/** One prompt or several, each a text or tokens. */
function promptsOf({ prompt }: CompletionRequest): Array<string | number[]> {
  if (typeof prompt === "string") return [prompt];
  return typeof prompt[0] === "number" ? [prompt as number[]] : prompt as Array<string | number[]>;
}

type Prepare = (lease: Lease, steer: ChoiceSettings["steer"], monitor: readonly Probe[]) => Promise<{
  kind: Answer["kind"]; settings: Answer["settings"]; choices: ChoiceSettings[];
}>;

/** Loads what a request names, writes its answers and sends them. */
async function answering(
  services: Services, body: ChatRequest | CompletionRequest, call: Call<unknown>, prepare: Prepare,
): Promise<unknown> {
  const { pool, shelf, answers, metrics, settings } = services;
  const lease = await pool.lease(body.model);
  let answer: Answer;
  try {
    lease.gate.check();
    const steer = await steeringsOf(shelf, body.steering, lease.model);
    const monitor = await probesOf(services, body.monitor ?? [], await lease.model.fingerprint());
    const prepared = await prepare(lease, steer, monitor);
    answer = new Answer(prepared.kind, prepared.settings, prepared.choices, lease, { shelf, metrics, timeout: settings.timeout });
  } catch (error) {
    lease[Symbol.dispose]();
    throw error;
  }
  answers.add(answer);
  return sendAnswer(answer, call, services);
}

async function probesOf({ shelf }: Services, ids: readonly string[], model: ModelFingerprint): Promise<Probe[]> {
  const probes = await Promise.all(ids.map((id) => shelf.probe(id)));
  for (const probe of probes) assertMadeFor(probe, model, false, "probe");
  return probes;
}

