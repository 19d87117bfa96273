import { route, type Route } from "../http/route.js";
import { sendEvents } from "../http/sse.js";
import { jobListSchema, jobSchema } from "../schemas/index.js";
import type { Services } from "../services.js";

/** The routes of background jobs. */
export function jobRoutes({ jobs, onFailure }: Services): Route[] {
  return [
    route("GET /v1/jobs", {
      summary: "Jobs, the latest first", answers: { description: "the list", schema: jobListSchema },
    }, () => ({ object: "list", data: jobs.list() })),
    route("GET /v1/jobs/{id}", {
      summary: "A job and its progress", answers: { description: "the job", schema: jobSchema },
    }, ({ id }) => jobs.find(id).state()),
    route("GET /v1/jobs/{id}/events", {
      summary: "The states of a job until it has ended", answers: { description: "events", other: { "text/event-stream": jobSchema } },
    }, ({ id, reply, left }) => sendEvents(reply, jobs.follow(id), { left, onFailure }, "")),
    route("DELETE /v1/jobs/{id}", {
      summary: "Cancel a job", answers: { description: "the job", schema: jobSchema },
    }, ({ id }) => {
      const job = jobs.find(id);
      job.cancel();
      return job.state();
    }),
  ];
}
