import { encodeVector } from "../../vector/index.js";
import { HttpError } from "../http/errors.js";
import { route, type Call, type Route } from "../http/route.js";
import type { JobQueue } from "../jobs/queue.js";
import { calibration, extraction } from "../jobs/work.js";
import {
  calibrateRequestSchema, deletedSchema, extractRequestSchema, jobSchema, vectorListSchema, vectorSchema, type VectorEntry,
} from "../schemas/index.js";
import type { Services } from "../services.js";
import type { Described } from "../vectors/entry.js";

/** The routes of vectors and probes. */
export function vectorRoutes(services: Services): Route[] {
  const { shelf, pool, jobs } = services;
  return [
    route("GET /v1/vectors", {
      summary: "Vectors and probes that requests can name", answers: { description: "the list", schema: vectorListSchema },
    }, async () => {
      const { entries, problems } = await shelf.list();
      return { object: "list", data: await Promise.all(entries.map((entry) => withModels(services, entry))), problems };
    }),
    route("POST /v1/vectors", {
      summary: "Upload a vector or probe", isUpload: true, answers: { description: "its entry", schema: vectorSchema },
    }, (call) => upload(services, call)),
    route("GET /v1/vectors/{id}", {
      summary: "One vector or probe", answers: { description: "its entry", schema: vectorSchema },
    }, async ({ id }) => withModels(services, await shelf.entry(id))),
    route("GET /v1/vectors/{id}/file", {
      summary: "Download a vector or probe", answers: { description: "its file", other: { "application/octet-stream": undefined } },
    }, async ({ id, reply }) => {
      const bytes = await shelf.file(id);
      return reply.header("content-type", "application/octet-stream").header("content-disposition", "attachment").send(bytes);
    }),
    route("DELETE /v1/vectors/{id}", {
      summary: "Delete a vector or probe of the server's folder", answers: { description: "it is deleted", schema: deletedSchema },
    }, async ({ id }) => {
      await shelf.remove(id);
      return { id, object: "vector", deleted: true };
    }),
    route("POST /v1/vectors/extract", {
      summary: "Make a vector from two descriptions or from pairs of texts", body: extractRequestSchema, status: 202,
      answers: { description: "the job", schema: jobSchema },
    }, async ({ body }) => {
      assertWritable(services);
      return jobs.add("extract", pool.idOf(body.model), extraction(body));
    }),
    route("POST /v1/vectors/{id}/calibrate", {
      summary: "Measure how strongly to add a vector", body: calibrateRequestSchema, status: 202,
      answers: { description: "the job", schema: jobSchema },
    }, async ({ id, body }) => {
      assertWritable(services);
      const vector = await shelf.vector(id);
      return jobs.add("calibrate", pool.idOf(body.model), calibration(vector, body));
    }),
  ];
}

async function upload(services: Services, { body, reply }: Call<unknown>): Promise<VectorEntry> {
  if (!Buffer.isBuffer(body) || body.length === 0) {
    throw new HttpError(400, "the body is empty; expected the bytes of a .safetensors file", { code: "E_BAD_VECTOR" });
  }
  const { entry, isNew } = await services.shelf.add(body);
  reply.status(isNew ? 201 : 200);
  return withModels(services, entry);
}

/** Adds the served models that it was made for. */
export async function withModels({ pool }: Pick<Services, "pool">, entry: Described): Promise<VectorEntry> {
  const models: string[] = [];
  for (const { id, model } of pool.entries) if (model && (await model.fingerprint()).fileHash === entry.model_hash) models.push(id);
  return { ...entry, models };
}

/** Lends the model to a job and keeps the vector that it makes. */
export function perform(services: Pick<Services, "pool" | "shelf">): ConstructorParameters<typeof JobQueue>[1] {
  return async (modelId, work, reporting) => {
    using lease = await services.pool.lease(modelId);
    const vector = await work(lease.model, reporting);
    const { entry } = await services.shelf.add(Buffer.from(encodeVector(vector, "the vector")));
    return withModels(services, entry);
  };
}

function assertWritable({ shelf }: Services): void {
  if (shelf.folder === undefined) {
    throw new HttpError(403, "this server has no folder for new vectors; start it with --vectors DIR", { code: "read_only" });
  }
}

