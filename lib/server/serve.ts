import type { FastifyInstance } from "fastify";
import { stat } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { AnswerLog } from "./answers/log.js";
import { createApp } from "./http/app.js";
import { HttpError } from "./http/errors.js";
import { Guard } from "./http/guard.js";
import { Metrics } from "./http/metrics.js";
import { describeApi } from "./http/openapi.js";
import { route, type Route } from "./http/route.js";
import { JobQueue } from "./jobs/queue.js";
import { ModelPool } from "./pool/pool.js";
import { servedModels } from "./pool/served-model.js";
import { completionRoutes } from "./routes/completions.js";
import { generationRoutes } from "./routes/generations.js";
import { jobRoutes } from "./routes/jobs.js";
import { measureRoutes } from "./routes/measures.js";
import { addPage, ownPage } from "./routes/page.js";
import { countsOf, serviceRoutes } from "./routes/service.js";
import { steeringRoutes } from "./routes/steering.js";
import { perform, vectorRoutes } from "./routes/vectors.js";
import type { Services } from "./services.js";
import { MAX_BODY_BYTES, MAX_JOBS, MAX_UPLOAD_BYTES, settingsOf, type ServeOptions, type Settings } from "./settings.js";
import { SteeringError } from "../errors.js";
import { Shelf } from "./vectors/shelf.js";

/** Between two looks at the answers that still run while the server closes. */
const LOOK_MS = 50;
/** How long clients may take to read the end of their answers. */
const LAST_MS = 5000;

/**
 * Serves steered answers over HTTP, in the API of OpenAI's clients and more (docs/server.md), and the page.
 *
 * @throws SteeringError E_BAD_ARGUMENT (also for a host that others can reach without an API key), E_NOT_FOUND, E_BUSY (the port is taken)
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const settings = settingsOf(options);
  const guard = new Guard({ host: settings.host, apiKeys: settings.apiKeys, allowedHosts: settings.allowedHosts });
  if (settings.models.length === 0) throw new SteeringError("E_BAD_ARGUMENT", "models is empty; expected at least one model to serve");
  await assertFolder(settings.vectors);
  const services = await servicesOf(settings);
  const app = appOf(services, guard);
  try {
    await addPage(app, settings.page ?? ownPage());
    await loadFirst(services);
    await app.listen({ host: settings.host, port: settings.port }).catch((cause: unknown) => {
      throw cannotListen(settings, cause as NodeJS.ErrnoException);
    });
  } catch (error) {
    await app.close();
    await services.pool.close();
    throw error;
  }
  return new Server(app, services);
}

/**
 * A running server. Close it with `close()` or `await using`.
 *
 * @hideconstructor
 */
export class Server implements AsyncDisposable {
  /** Where it listens, e.g. "http://127.0.0.1:8080". */
  readonly url: string;
  private closing: Promise<void> | undefined;
  private isImpatient = false;
  /** Answers whose last bytes the client has not yet got. */
  private readonly unsent = new Set<ServerResponse>();

  constructor(private readonly app: FastifyInstance, private readonly services: Services) {
    const { address, family, port } = app.server.address() as AddressInfo;
    app.server.on("request", (_, reply: ServerResponse) => {
      this.unsent.add(reply);
      reply.once("close", () => { this.unsent.delete(reply); });
    });
    this.url = `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  /**
   * Refuses new requests, lets running answers end for as long as `grace` says, then cancels them and frees the models. A second call with
   * `now` cancels them at once.
   */
  close({ now = false } = {}): Promise<void> {
    this.isImpatient ||= now;
    this.closing ??= this.end();
    return this.closing;
  }

  /** For `await using`: closes without waiting for running answers. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close({ now: true });
  }

  private async end(): Promise<void> {
    const { services, app } = this;
    services.isClosing = true;
    const jobs = services.jobs.close();
    const until = performance.now() + services.settings.grace * 1000;
    while (services.answers.unfinished.length > 0 && !this.isImpatient && performance.now() < until) await pause();
    for (const answer of services.answers.unfinished) answer.cancel(new HttpError(503, "the server is closing", { code: "closing" }));
    const last = performance.now() + LAST_MS;
    while ((services.answers.unfinished.length > 0 || this.unsent.size > 0) && performance.now() < last) await pause();
    await app.close();
    await jobs;
    await services.pool.close();
  }
}

async function servicesOf(settings: Settings): Promise<Services> {
  const { load, memory, parallel, maxQueue } = settings;
  const pool = new ModelPool(await servedModels(settings.models), { load, memory, parallel, maxQueue });
  const shelf = new Shelf(settings.vectors);
  const onFailure = (error: unknown): void =>
    write(settings, "warn", error instanceof Error ? error.stack ?? error.message : String(error));
  const jobs: JobQueue = new JobQueue(MAX_JOBS, perform({ pool, shelf }), onFailure);
  const metrics = new Metrics({
    running: () => countsOf(pool).running, queued: () => countsOf(pool).queued, modelsLoaded: () => pool.nLoaded,
    jobs: () => jobs.unfinished.length,
  });
  return { settings, pool, shelf, answers: new AnswerLog(), jobs, metrics, onFailure, isClosing: false };
}

function appOf(services: Services, guard: Guard): FastifyInstance {
  const { settings, settings: { apiKeys }, metrics, onFailure } = services;
  const routes: Route[] = [
    ...completionRoutes(services), ...vectorRoutes(services), ...jobRoutes(services), ...generationRoutes(services),
    ...steeringRoutes(services), ...measureRoutes(services), ...serviceRoutes(services),
  ];
  const description = describeApi(routes, { hasKeys: apiKeys.length > 0 });
  routes.push(route("GET /openapi.json", { summary: "This description", answers: { description: "OpenAPI 3.1" } }, () => description));
  return createApp(routes, { maxBody: MAX_BODY_BYTES, maxUpload: MAX_UPLOAD_BYTES }, {
    admit: ({ headers, routeOptions }, isOpen) => {
      guard.checkPlace(headers);
      if (!isOpen) guard.checkKey(headers);
      if (services.isClosing && routeOptions.url !== "/health") {
        throw new HttpError(503, "the server is closing", { code: "closing", retryAfter: 1 });
      }
    },
    onAnswer: ({ method, route: pattern, status, seconds }) => {
      metrics.requests.inc({ method, route: pattern, status });
      metrics.seconds.observe({ route: pattern }, seconds);
      write(settings, "info", `${method} ${pattern} ${status} ${(seconds * 1000).toFixed(0)} ms`);
    },
    onFailure,
  });
}

function write({ logger }: Settings, level: "info" | "warn", message: string): void {
  try {
    logger?.(level, message);
  } catch {
    // A failing logger must not stop the work.
  }
}

/** Loads the default model now, so that what is wrong with it is known before the server listens. */
async function loadFirst({ pool }: Services): Promise<void> {
  try {
    (await pool.lease(undefined))[Symbol.dispose]();
  } catch (error) {
    throw error instanceof HttpError && error.cause instanceof SteeringError ? error.cause : error;
  }
}

/** Throws E_BAD_ARGUMENT for a folder of vectors that is a file; one that is missing is created by the first vector. */
async function assertFolder(path: string | undefined): Promise<void> {
  if (path === undefined) return;
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new SteeringError("E_BAD_ARGUMENT", `the folder of vectors ${path} cannot be read (${error.code})`, { cause: error });
  });
  if (!found || found.isDirectory()) return;
  throw new SteeringError("E_BAD_ARGUMENT", `${path} is a file; expected a folder of vectors (--vectors)`);
}

function cannotListen({ host, port }: Settings, cause: NodeJS.ErrnoException): SteeringError {
  if (cause.code === "EADDRINUSE") {
    return new SteeringError("E_BUSY", `port ${port} of ${host} is in use; choose another one, or 0 for any free one`, { cause });
  }
  return new SteeringError("E_BAD_ARGUMENT", `cannot listen on ${host}, port ${port}: ${cause.message}`, { cause });
}

function pause(): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
}
