import { z } from "zod";
import { finishReason, generationShape, timingsSchema, topLogprobs, usageSchema } from "./generation-settings.js";
import { candidateSchema, canonicalSteeringSchema, readingSchema, stepDetailsSchema } from "./steering.js";

const MAX_MESSAGES = 1024;
const NO_TOOLS = "this server calls no tools or functions; ask without them";
const textPart = z.object({ type: z.literal("text"), text: z.string() });
const content = z.union([z.string(), z.array(textPart).max(1024)]);

/** Other fields are ignored: clients send answers back with whatever they were sent, and more. */
const messageSchema = z.object({
  /** `developer` is read as `system`. */
  role: z.enum(["system", "developer", "user", "assistant"]),
  content,
  // What cannot be left out without changing what was said.
  audio: z.null().optional(),
  function_call: z.null().optional(),
  tool_calls: z.null().or(z.array(z.unknown()).max(0, NO_TOOLS)).optional(),
});

/** Body of `POST /v1/chat/completions`. */
export const chatRequestSchema = z.strictObject({
  ...generationShape,
  messages: z.array(messageSchema).min(1).max(MAX_MESSAGES),
  /** The same as `max_tokens`. */
  max_completion_tokens: z.number().int().min(1).max(2 ** 20).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: topLogprobs.nullish(),
  modalities: z.array(z.literal("text")).nullish(),
  tools: z.array(z.unknown()).max(0, NO_TOOLS).nullish(),
  functions: z.array(z.unknown()).max(0, NO_TOOLS).nullish(),
  tool_choice: z.enum(["none", "auto"]).nullish(),
  function_call: z.enum(["none", "auto"]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  /** A variable of the chat template, if it has one of this name. */
  reasoning_effort: z.string().max(20).nullish(),
  /** Changes nothing. */
  verbosity: z.string().max(20).nullish(),
  audio: z.null().optional(),
  prediction: z.null().optional(),
  web_search_options: z.null().optional(),
  /** Variables of the model's chat template, e.g. `{"enable_thinking": false}`; llama.cpp calls them `chat_template_kwargs`. */
  template_variables: z.record(z.string().max(200), z.unknown()).nullish(),
  chat_template_kwargs: z.record(z.string().max(200), z.unknown()).nullish(),
});
export type ChatRequest = z.infer<typeof chatRequestSchema>;

const tokenLogprob = candidateSchema.omit({ id: true });
const logprobsSchema = z.object({ content: z.array(tokenLogprob.extend({ top_logprobs: z.array(tokenLogprob) })), refusal: z.null() });

/** What only our clients read of an answer. */
export const choiceSteeringSchema = z.object({
  /** As given or, for those changed while the answer was written, with the alphas per step. */
  steering: canonicalSteeringSchema,
  /** Every token, with `steering_details`. */
  steps: z.array(stepDetailsSchema).optional(),
  /** Readings of the step that chose the end mark; null if the answer ended for another reason. */
  end_readings: z.array(readingSchema).nullable(),
  seed: z.number().int(),
  timings: timingsSchema,
});

const answer = { id: z.string(), created: z.number().int(), model: z.string(), system_fingerprint: z.string() };

/** Answer of `POST /v1/chat/completions` without `stream`. */
export const chatResponseSchema = z.object({
  ...answer,
  object: z.literal("chat.completion"),
  choices: z.array(z.object({
    index: z.number().int(),
    message: z.object({
      role: z.literal("assistant"), content: z.string(), refusal: z.null(),
      /** What the model thought before it answered, if it did. */
      reasoning_content: z.string().optional(),
    }),
    logprobs: logprobsSchema.nullable(),
    finish_reason: finishReason,
    llama_steer: choiceSteeringSchema,
  })),
  usage: usageSchema,
  steering: canonicalSteeringSchema,
});

/** The data of each event of a stream; the last event is `[DONE]`. */
export const chatChunkSchema = z.object({
  ...answer,
  object: z.literal("chat.completion.chunk"),
  choices: z.array(z.object({
    index: z.number().int(),
    delta: z.object({ role: z.literal("assistant").optional(), content: z.string().optional(), reasoning_content: z.string().optional() }),
    logprobs: logprobsSchema.nullable(),
    finish_reason: finishReason.nullable(),
    /** With `steering_details`: the token of this chunk. */
    steering_details: stepDetailsSchema.optional(),
    /** In the chunk with the finish reason. */
    llama_steer: choiceSteeringSchema.omit({ steps: true }).optional(),
  })),
  /** In the last chunk, with `stream_options.include_usage`; its `choices` are empty. */
  usage: usageSchema.nullish(),
  /** In the first chunk of each choice. */
  steering: canonicalSteeringSchema.optional(),
});
