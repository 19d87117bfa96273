import { HOOK_SITES } from "../../vector/index.js";
import { packageVersion } from "../../formats/index.js";
import { resolveFormat } from "../../prompt/index.js";
import type { Model } from "../../model/index.js";
import { HttpError } from "../http/errors.js";
import { route, type Route } from "../http/route.js";
import type { ModelPool } from "../pool/pool.js";
import { healthSchema, modelListSchema, modelSchema, serverSchema } from "../schemas/index.js";
import type { Services } from "../services.js";
import { MAX_BODY_BYTES, MAX_JOBS, MAX_UPLOAD_BYTES } from "../settings.js";

/** Since when models are served; OpenAI's clients expect a date. */
const created = Math.floor(Date.now() / 1000);

/** The routes that tell of the server itself. */
export function serviceRoutes(services: Services): Route[] {
  const { pool, settings, metrics, shelf } = services;
  return [
    route("GET /v1/models", {
      summary: "The served models", answers: { description: "the list", schema: modelListSchema },
    }, async () => ({ object: "list", data: await Promise.all(pool.entries.map((entry) => modelEntry(entry))) })),
    route("GET /v1/models/{id}", { summary: "A served model", answers: { description: "its entry", schema: modelSchema } }, ({ id }) => {
      const found = pool.entries.find((entry) => entry.id === id);
      if (found) return modelEntry(found);
      throw new HttpError(404, "no model is served under this name", { code: "model_not_found" });
    }),
    route("GET /v1/server", {
      summary: "Version, default model and limits", answers: { description: "them", schema: serverSchema },
    }, () => ({
      version: packageVersion(), default_model: pool.defaultId, writable: shelf.folder !== undefined,
      limits: {
        max_queue: settings.maxQueue, max_body_bytes: MAX_BODY_BYTES, max_upload_bytes: MAX_UPLOAD_BYTES, max_jobs: MAX_JOBS,
        timeout_seconds: settings.timeout,
      },
    })),
    route("GET /health", {
      summary: "Whether the server accepts requests", isOpen: true, answers: { description: "it does", schema: healthSchema },
    }, ({ reply }) => {
      if (services.isClosing) reply.status(503);
      return {
        status: services.isClosing ? "closing" : "ok", version: packageVersion(), models_loaded: pool.nLoaded, ...countsOf(pool),
      };
    }),
    route("GET /metrics", {
      summary: "Figures for Prometheus", answers: { description: "its text format", other: { "text/plain": undefined } },
    }, async ({ reply }) => reply.header("content-type", metrics.registry.contentType).send(await metrics.registry.metrics())),
  ];
}

/** Answers that are being written, and requests that wait. */
export function countsOf(pool: ModelPool): { running: number; queued: number } {
  const sum = (of: "running" | "queued"): number => pool.entries.reduce((total, { gate }) => total + gate[of], 0);
  return { running: sum("running"), queued: sum("queued") };
}

/** Paths of the server's machine are told to nobody: a request from a proxy looks like one from this machine. */
async function modelEntry({ id, name, model }: ModelPool["entries"][number]): Promise<object> {
  const details = model ? await detailsOf(model) : null;
  return { id, object: "model", created, owned_by: "llama-steer", loaded: model !== undefined, source: name ?? null, details };
}

async function detailsOf(model: Model): Promise<object> {
  const { architecture, quantisation, nParams, sizeBytes, nLayer, nHead, nEmbd, nVocab } = model.info;
  return {
    architecture, quantisation, n_params: nParams, bytes: sizeBytes, n_layer: nLayer, n_head: nHead, n_embd: nEmbd, n_vocab: nVocab,
    context: model.maxContext, format: resolveFormat(model), sites: HOOK_SITES.filter((site) => model.hasSite(site)),
    file_hash: (await model.fingerprint()).fileHash,
  };
}
