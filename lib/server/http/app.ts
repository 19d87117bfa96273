import { STATUS_CODES } from "node:http";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { httpErrorOf, HttpError, wrongType } from "./errors.js";
import { API_DEFAULTS, API_HEADERS } from "./headers.js";
import { parseBody } from "./json-body.js";
import { checkedBody, type Call, type Route } from "./route.js";

/** What every request goes through. */
export interface AppHooks {
  /** Throws if the request may not be answered; `isOpen`: without a key. */
  admit: (request: FastifyRequest, isOpen: boolean) => void;
  /** After an answer, whole or cut off; `route` is the pattern, never the path of the request. */
  onAnswer: (done: { method: string; route: string; status: number; seconds: number }) => void;
  /** A failure of our own. */
  onFailure: (error: unknown) => void;
}

const MAX_ID = 200;
const MAX_HEADER_BYTES = 16_384;
/** How long a client may take to send its headers, and a body. */
const [HEADERS_MS, BODY_MS] = [20_000, 120_000];

/** The HTTP server with these routes; what else is registered before it listens answers other GET requests. */
export function createApp(
  routes: readonly Route[], { maxBody, maxUpload }: { maxBody: number; maxUpload: number }, hooks: AppHooks,
): FastifyInstance {
  const app = fastify({
    bodyLimit: maxBody, routerOptions: { maxParamLength: MAX_ID }, exposeHeadRoutes: false, forceCloseConnections: true,
    requestTimeout: BODY_MS,
    http: { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: HEADERS_MS },
    frameworkErrors: (error, request, given) => {
      const reply = given as FastifyReply;
      refuse(reply, error.code === "FST_ERR_MAX_PARAM_LENGTH" ? notFound(routes, request as FastifyRequest, reply) : error);
    },
    clientErrorHandler: ({ code }, socket) => {
      if (socket.writable) socket.write(unreadable(code));
      socket.destroy(); // or a peer that never closes its side would hold it for ever
    },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, async (_: FastifyRequest, bytes: Buffer) => parseBody(bytes));
  app.addContentTypeParser("application/octet-stream", { parseAs: "buffer" }, async (_: FastifyRequest, bytes: Buffer) => bytes);
  const open = new Set(routes.filter(({ isOpen }) => isOpen).map(({ path }) => pattern(path)));
  const known = new Set(routes.map(({ path }) => pattern(path)));
  app.addHook("onRequest", async (request) => {
    // A path has many spellings, so the route that was found decides who needs a key; only without a route does the spelling.
    const { url = "" } = request.routeOptions;
    hooks.admit(request, open.has(url) || !(known.has(url) || isOfApi(request.url)));
  });
  app.addHook("onSend", async (_request, reply) => {
    reply.headers(API_HEADERS);
    for (const [name, value] of Object.entries(API_DEFAULTS)) if (!reply.hasHeader(name)) reply.header(name, value);
  });
  app.addHook("onResponse", async (request, reply) => {
    const { method, routeOptions } = request;
    const asked = routeOptions.url?.replace(":id", "{id}") ?? "other";
    hooks.onAnswer({ method, route: asked, status: reply.statusCode, seconds: reply.elapsedTime / 1000 });
  });
  app.setErrorHandler((error, _request, reply) => {
    const refusal = httpErrorOf(error);
    if (refusal.status >= 500) hooks.onFailure(refusal.cause ?? refusal);
    refuse(reply, refusal);
  });
  app.setNotFoundHandler((request, reply) => { refuse(reply, notFound(routes, request, reply)); });
  for (const route of routes) register(app, route, maxUpload);
  return app;
}

function register(app: FastifyInstance, { method, path, body, isUpload, status, handle }: Route, maxUpload: number): void {
  app.route({
    method, url: pattern(path), ...(isUpload && { bodyLimit: maxUpload }),
    handler: async (request, reply) => {
      if (isUpload !== Buffer.isBuffer(request.body) && request.body !== undefined) {
        throw wrongType(isUpload ? "application/octet-stream" : "application/json");
      }
      const left = new AbortController();
      reply.raw.once("close", () => { if (!reply.raw.writableFinished) left.abort(); });
      const call: Call<unknown> = {
        body: checkedBody(body, request.body), id: (request.params as { id?: string }).id ?? "", request, reply, left: left.signal,
      };
      reply.status(status);
      return handle(call);
    },
  });
}

/** The whole answer to what is not a request. */
function unreadable(code: string): string {
  const refusal = code === "HPE_HEADER_OVERFLOW" ? new HttpError(431, `the headers have more than ${MAX_HEADER_BYTES} bytes`)
    : code === "ERR_HTTP_REQUEST_TIMEOUT" ? new HttpError(408, "the request did not arrive in time")
      : new HttpError(400, "this is not a request in HTTP/1.1");
  const body = JSON.stringify(refusal.body());
  return [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`, "connection: close", "content-type: application/json; charset=utf-8",
    `content-length: ${body.length}`, "", body,
  ].join("\r\n");
}

function refuse(reply: FastifyReply, error: unknown): void {
  const refusal = httpErrorOf(error);
  if (refusal.retryAfter !== undefined) reply.header("retry-after", String(refusal.retryAfter));
  if (refusal.status === 401) reply.header("www-authenticate", "Bearer");
  reply.status(refusal.status).type("application/json; charset=utf-8").send(refusal.body());
}

/** 404, or 405 where the path has other methods. */
function notFound(routes: readonly Route[], { url, method }: FastifyRequest, reply: FastifyReply): HttpError {
  const path = url.split("?")[0]!;
  const others = routes.filter((route) => new RegExp(`^${route.path.replace("{id}", "[^/]+")}$`).test(path)).map((each) => each.method);
  // An id that is too long fits no route, whatever the method.
  if (others.length === 0 || others.includes(method as Route["method"])) {
    return new HttpError(404, "there is no such route; GET /openapi.json lists them", { code: "route_not_found" });
  }
  reply.header("allow", others.join(", "));
  return new HttpError(405, `this route has no method ${method}; it has ${others.join(", ")}`, { code: "method_not_allowed" });
}

function isOfApi(url: string): boolean {
  return /^\/(v1|metrics|openapi\.json)(\/|\?|$)/.test(url);
}

/** A path as fastify writes it. */
function pattern(path: string): string {
  return path.replace("{id}", ":id");
}
