import { z } from "zod";

/** Every refusal, in OpenAI's shape. */
export const errorSchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.enum([
      "invalid_request_error", "authentication_error", "permission_error", "not_found_error", "rate_limit_error", "timeout_error",
      "server_error",
    ]),
    /** The field that is wrong, e.g. "messages.0.role". */
    param: z.string().nullable(),
    /** One of docs/errors.md, or of docs/server.md. */
    code: z.string().nullable(),
  }),
});

export const modelSchema = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: z.number().int(),
  owned_by: z.literal("llama-steer"),
  /** Models are loaded when a request first names them. */
  loaded: z.boolean(),
  /** The name or the address by which `loadModel` loads it; null for a file, whose path is not told. */
  source: z.string().nullable(),
  /** Null until the model is loaded. */
  details: z.object({
    architecture: z.string(), quantisation: z.string(), n_params: z.number(), bytes: z.number(),
    n_layer: z.number().int(), n_head: z.number().int(), n_embd: z.number().int(), n_vocab: z.number().int(),
    /** Most tokens of a prompt and its answer together. */
    context: z.number().int(),
    /** How questions are best put: "chat" with `/v1/chat/completions`, otherwise with a prompt. */
    format: z.enum(["chat", "qa", "raw"]),
    sites: z.array(z.string()),
    file_hash: z.string(),
  }).nullable(),
});
export const modelListSchema = z.object({ object: z.literal("list"), data: z.array(modelSchema) });

/** Answer of `GET /health`. */
export const healthSchema = z.object({
  status: z.enum(["ok", "closing"]),
  version: z.string(),
  models_loaded: z.number().int(),
  /** Answers that are being written, and requests that wait. */
  running: z.number().int(),
  queued: z.number().int(),
});

/** Answer of `GET /v1/server`: what a page has to know before it asks for anything. */
export const serverSchema = z.object({
  version: z.string(),
  default_model: z.string(),
  /** Whether vectors can be uploaded, made and deleted. */
  writable: z.boolean(),
  limits: z.object({
    max_queue: z.number().int(), max_body_bytes: z.number().int(), max_upload_bytes: z.number().int(), max_jobs: z.number().int(),
    timeout_seconds: z.number(),
  }),
});
