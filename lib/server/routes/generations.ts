import { Answer } from "../answers/answer.js";
import { sendAnswer } from "../answers/send.js";
import { countOf, type AnswerSettings, type ChoiceSettings } from "../answers/settings.js";
import { HttpError } from "../http/errors.js";
import { route, type Call, type Route } from "../http/route.js";
import {
  changeRequestSchema, chatResponseSchema, completionResponseSchema, generationSchema, replayRequestSchema,
} from "../schemas/index.js";
import type { Services } from "../services.js";
import { z } from "zod";

/** The routes of answers that are being written, or were. */
export function generationRoutes(services: Services): Route[] {
  const { answers } = services;
  const asState = { description: "the state of the answer", schema: generationSchema };
  return [
    route("GET /v1/generations/{id}", { summary: "The state of an answer", answers: asState }, ({ id }) => stateOf(answers.find(id))),
    route("PATCH /v1/generations/{id}/steering", {
      summary: "Change how a running answer is steered", body: changeRequestSchema, answers: asState,
    }, async ({ id, body }) => {
      const answer = answers.find(id);
      await answer.change(body.changes, body.choice);
      return stateOf(answer);
    }),
    route("DELETE /v1/generations/{id}", { summary: "Cancel an answer", answers: asState }, ({ id }) => {
      const answer = answers.find(id);
      answer.cancel(new HttpError(409, "the answer was cancelled", { code: "generation_cancelled" }));
      return stateOf(answer);
    }),
    route("POST /v1/generations/{id}/replay", {
      summary: "The same answer again, with the alphas that it had", body: replayRequestSchema,
      answers: {
        description: "the answer, in the shape of the first one", schema: z.union([chatResponseSchema, completionResponseSchema]),
        other: { "text/event-stream": undefined },
      },
    }, (call) => replayed(services, call)),
  ];
}

function stateOf(answer: Answer): z.infer<typeof generationSchema> {
  const { id, modelId: model, created, status } = answer;
  const choices = answer.choices.map((choice) => ({ index: choice.index, n_tokens: choice.nTokens, steering: answer.specsOf(choice) }));
  return { id, object: "generation", model, created, status, choices };
}

async function replayed(services: Services, call: Call<z.infer<typeof replayRequestSchema>>): Promise<unknown> {
  const { pool, answers, shelf, metrics, settings: { timeout } } = services;
  const first = answers.find(call.id);
  if (first.status !== "completed") {
    throw new HttpError(409, `the answer is ${first.status}: only one that has ended by itself can be replayed`,
      { code: first.status === "running" || first.status === "queued" ? "generation_running" : "generation_cancelled" });
  }
  const { stream, stream_options: streamed, steering_details: details } = call.body;
  const settings: AnswerSettings = {
    ...first.settings, isStream: stream ?? first.settings.isStream, hasUsage: streamed?.include_usage ?? first.settings.hasUsage,
    ...(details !== undefined && { details: { isWanted: details !== false, candidates: countOf(details) } }),
  };
  // Its tokens are given, since rounding may decide otherwise between two that are almost equally likely.
  const choices = first.choices.map((choice): ChoiceSettings =>
    ({ ...choice.settings, steer: choice.past!.recorded, firstTokens: choice.past!.tokens }));
  const lease = await pool.lease(first.modelId);
  const answer = new Answer(first.kind, settings, choices, lease, { shelf, metrics, timeout });
  answers.add(answer);
  return sendAnswer(answer, call, services);
}
