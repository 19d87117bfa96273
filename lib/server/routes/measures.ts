import type { z } from "zod";
import { onAbort } from "../../engine/index.js";
import { fluencyEvaluator, languageEvaluator, perplexityEvaluator, probeEvaluator, type Evaluator } from "../../evaluate/index.js";
import { perplexityOf, scoreTokens } from "../../generate/index.js";
import { assertMadeFor } from "../../vector/index.js";
import { HttpError } from "../http/errors.js";
import { route, type Call, type Route } from "../http/route.js";
import type { Lease } from "../pool/pool.js";
import { evaluateRequestSchema, evaluateResponseSchema, scoreRequestSchema, scoreResponseSchema } from "../schemas/index.js";
import type { Services } from "../services.js";
import { candidateToken } from "../answers/token-details.js";
import { specOf, steeringsOf } from "../vectors/steering.js";
import { chatPrompt } from "./completions.js";

type ScoreRequest = z.infer<typeof scoreRequestSchema>;
type EvaluateRequest = z.infer<typeof evaluateRequestSchema>;

/** The routes that measure given texts. */
export function measureRoutes(services: Services): Route[] {
  return [
    route("POST /v1/score", {
      summary: "Log probabilities and perplexity of a text, steered and unsteered", body: scoreRequestSchema,
      answers: { description: "the score", schema: scoreResponseSchema },
    }, (call) => withPlace(services, call, (lease, signal) => score(services, call.body, lease, signal))),
    route("POST /v1/evaluate", {
      summary: "Judge texts", body: evaluateRequestSchema, answers: { description: "the judgements", schema: evaluateResponseSchema },
    }, (call) => withPlace(services, call, (lease, signal) => evaluate(services, call.body, lease, signal))),
  ];
}

/** Does the work of a request when it has a place among the answers; it ends when the client leaves, or after the timeout. */
async function withPlace<T>(
  { pool, settings: { timeout } }: Services, { body, left }: Call<{ model?: string | undefined }>,
  work: (lease: Lease, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  using lease = await pool.lease(body.model);
  const stop = new AbortController();
  const forget = onAbort(left, () => stop.abort(new HttpError(499, "the client has left", { code: "client_left" })));
  const timer = setTimeout(() => stop.abort(new HttpError(504, `this took longer than ${timeout} seconds`, { code: "timeout" })),
    timeout * 1000);
  let leave = (): void => undefined;
  try {
    leave = await lease.gate.enter(1, stop.signal);
    return await work(lease, stop.signal);
  } catch (error) {
    throw stop.signal.reason instanceof HttpError ? stop.signal.reason : error;
  } finally {
    forget();
    clearTimeout(timer);
    leave();
  }
}

async function score(
  { shelf }: Services, { messages, prompt, continuation, steering, template_variables: variables }: ScoreRequest, lease: Lease,
  signal: AbortSignal,
): Promise<z.infer<typeof scoreResponseSchema>> {
  const { model, id } = lease;
  const steer = await steeringsOf(shelf, steering, model);
  const before = messages ? await chatPrompt(lease, { messages, template_variables: variables }) : prompt!;
  const tokens = typeof continuation === "string" ? model.tokenise(continuation, { bos: false }) : continuation;
  const [steered, unsteered] = await Promise.all([
    scoreTokens(model, before, tokens, { steer, signal }), steer.length === 0 ? undefined : scoreTokens(model, before, tokens, { signal }),
  ]);
  const plain = unsteered ?? steered;
  const [perplexity, unsteeredPerplexity] = [perplexityOf(steered), perplexityOf(plain)];
  return {
    object: "score", model: id, steering: steer.map((each) => specOf(shelf, each)),
    tokens: tokens.map((token, index) => {
      const { token: text, logprob } = candidateToken(model, { token, logProbability: steered[index]! });
      return { id: token, token: text, logprob, unsteered_logprob: plain[index]! };
    }),
    perplexity, unsteered_perplexity: unsteeredPerplexity, delta_perplexity: perplexity - unsteeredPerplexity,
  };
}

async function evaluate(
  services: Services, { texts, evaluators }: EvaluateRequest, { model }: Lease, signal: AbortSignal,
): Promise<z.infer<typeof evaluateResponseSchema>> {
  const judged = texts.map(({ question = "", text }) => ({ question, text }));
  const data: z.infer<typeof evaluateResponseSchema>["data"] = [];
  for (const given of evaluators) {
    using evaluator = await open(services, given, model);
    data.push({ name: evaluator.name, wanted: evaluator.wanted, results: await evaluator.evaluate(judged, signal) });
  }
  return { object: "evaluation", data };
}

async function open({ shelf }: Services, given: EvaluateRequest["evaluators"][number], model: Lease["model"]): Promise<Evaluator> {
  switch (given.kind) {
    case "language": return languageEvaluator({ ...(given.wanted !== undefined && { wanted: given.wanted }) });
    case "fluency": return fluencyEvaluator();
    case "perplexity": return perplexityEvaluator(model);
    case "probe": {
      const probe = await shelf.probe(given.probe);
      assertMadeFor(probe, await model.fingerprint(), false, "probe");
      return probeEvaluator(model, probe, { wanted: given.wanted });
    }
  }
}
