import { z } from "zod";
import { packageVersion } from "../../formats/index.js";
import { errorSchema } from "../schemas/index.js";
import type { Route } from "./route.js";

type Json = Record<string, unknown>;
const JSON_TYPE = "application/json";

/** The OpenAPI description of the routes, from the schemas that check them. */
export function describeApi(routes: readonly Route[], { hasKeys }: { hasKeys: boolean }): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(route, hasKeys) };
  return {
    openapi: "3.1.0",
    info: { title: "llama-steer", version: packageVersion(), description: "Steered answers of local models (docs/server.md)." },
    paths,
    components: {
      schemas: { Error: schemaOf(errorSchema, "output") },
      ...(hasKeys && { securitySchemes: { key: { type: "http", scheme: "bearer" } } }),
    },
  };
}

function operation({ method, path, summary, body, isUpload, status, answers, isOpen }: Route, hasKeys: boolean): Json {
  const parameters = path.includes("{id}")
    ? [{ name: "id", in: "path", required: true, schema: { type: "string", minLength: 1, maxLength: 200 } }] : [];
  return {
    operationId: `${method.toLowerCase()}${path.replace(/\{id\}/g, "one").replace(/[^a-z0-9]+/gi, "_")}`,
    summary, parameters,
    ...(body && { requestBody: { required: true, content: { [JSON_TYPE]: { schema: schemaOf(body, "input") } } } }),
    ...(isUpload && {
      requestBody: { required: true, content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } } },
    }),
    responses: {
      [status]: { description: answers.description, content: contentOf(answers) },
      ...(isUpload && { 201: { description: answers.description, content: contentOf(answers) } }),
      "4XX": { description: "a refusal", content: { [JSON_TYPE]: { schema: { $ref: "#/components/schemas/Error" } } } },
      "5XX": { description: "a failure", content: { [JSON_TYPE]: { schema: { $ref: "#/components/schemas/Error" } } } },
    },
    ...(hasKeys && !isOpen && { security: [{ key: [] }] }),
  };
}

function contentOf({ schema, other = {} }: Route["answers"]): Json {
  const of = (each: z.ZodType | undefined): Json => (each ? { schema: schemaOf(each, "output") } : {});
  return {
    ...(schema && { [JSON_TYPE]: of(schema) }), ...Object.fromEntries(Object.entries(other).map(([type, each]) => [type, of(each)])),
  };
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Json;
  return rest;
}
