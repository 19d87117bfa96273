import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { problemOf } from "../../checks.js";
import { nearestName } from "../../formats/index.js";
import { HttpError } from "./errors.js";

export type Method = "GET" | "POST" | "PATCH" | "DELETE";

/** One request, with its checked body. */
export interface Call<Body> {
  body: Body;
  /** The part of the path in braces. */
  id: string;
  request: FastifyRequest;
  reply: FastifyReply;
  /** Fires when the client leaves before it has its answer. */
  left: AbortSignal;
}

/** What a route may answer, for the description. */
export interface Answers {
  description: string;
  /** What JSON answers are. */
  schema?: z.ZodType;
  /** Other media types, e.g. `text/event-stream`, and the schema of their pieces. */
  other?: Record<string, z.ZodType | undefined>;
}

/** A route: how it is registered, checked and described. */
export interface Route {
  method: Method;
  /** As OpenAPI writes it, e.g. `/v1/jobs/{id}`. */
  path: string;
  summary: string;
  body?: z.ZodType | undefined;
  /** The body is a file instead of JSON. */
  isUpload: boolean;
  status: number;
  answers: Answers;
  /** True for routes that need no key. */
  isOpen: boolean;
  handle: (call: Call<unknown>) => unknown;
}

interface Definition<Body extends z.ZodType> {
  summary: string;
  body?: Body;
  isUpload?: boolean;
  status?: number;
  answers: Answers;
  isOpen?: boolean;
}

/** Defines a route, e.g. `route("POST /v1/score", { … }, async ({ body }) => …)`. */
export function route<Body extends z.ZodType = z.ZodUnknown>(
  place: `${Method} /${string}`, { isUpload = false, isOpen = false, status = 200, ...rest }: Definition<Body>,
  handle: (call: Call<z.output<Body>>) => unknown,
): Route {
  const [method, path] = place.split(" ") as [Method, string];
  return { method, path, ...rest, isUpload, isOpen, status, handle: handle as Route["handle"] };
}

/** Checks a body. Throws 400, naming the field. */
export function checkedBody(schema: z.ZodType | undefined, body: unknown): unknown {
  if (!schema) return body;
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = problemOf(parsed.error.issues[0]!);
  if (issue.keys?.[0] !== undefined) throw unknownField(schema, issue.path, issue.keys[0]);
  const { path, message } = issue;
  const param = path.join(".");
  const text = message.replace(/^Invalid input: /, "");
  throw new HttpError(400, param === "" ? text : `${param}: ${text}`, { code: "E_BAD_ARGUMENT", param: param || null });
}

function unknownField(schema: z.ZodType, path: readonly PropertyKey[], key: string): HttpError {
  const known = path.length === 0 && schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  const near = nearestName(key, known);
  const param = [...path, key].join(".").slice(0, 200);
  return new HttpError(400, `${param}: unknown field${near ? `; did you mean ${near}?` : ""}`, { code: "E_BAD_ARGUMENT", param });
}
