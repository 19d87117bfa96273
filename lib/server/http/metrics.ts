import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** What the server counts, for Prometheus. */
export class Metrics {
  readonly registry = new Registry();
  private readonly own = { registers: [this.registry] };
  readonly requests = new Counter({
    ...this.own, name: "llama_steer_requests_total", help: "Requests by method, route and status.",
    labelNames: ["method", "route", "status"],
  });
  readonly seconds = new Histogram({
    ...this.own, name: "llama_steer_request_seconds", help: "Duration of requests.", labelNames: ["route"],
    buckets: [0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300],
  });
  readonly firstToken = new Histogram({
    ...this.own, name: "llama_steer_first_token_seconds", help: "From a request's arrival to its first token.",
    buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30],
  });
  readonly promptTokens = new Counter({ ...this.own, name: "llama_steer_prompt_tokens_total", help: "Tokens of prompts." });
  readonly cachedTokens = new Counter({
    ...this.own, name: "llama_steer_cached_prompt_tokens_total", help: "Tokens of prompts that were in the KV cache already.",
  });
  readonly tokens = new Counter({ ...this.own, name: "llama_steer_tokens_total", help: "Generated tokens." });
  readonly decodes = new Counter({ ...this.own, name: "llama_steer_decodes_total", help: "Decodes that answers took part in." });

  constructor(now: { running: () => number; queued: () => number; modelsLoaded: () => number; jobs: () => number }) {
    const gauges: Array<[name: string, help: string, value: () => number]> = [
      ["running", "Answers that are being written.", now.running],
      ["queued", "Answers that wait for a place.", now.queued],
      ["models_loaded", "Models in memory.", now.modelsLoaded],
      ["jobs", "Jobs that run or wait.", now.jobs],
      ["resident_bytes", "Resident memory of the process.", () => process.memoryUsage.rss()],
    ];
    for (const [name, help, value] of gauges) {
      new Gauge({ ...this.own, name: `llama_steer_${name}`, help, collect() { this.set(value()); } });
    }
  }
}
