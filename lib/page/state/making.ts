import { signal } from "@preact/signals";
import type { Job } from "../../server/schemas/index.js";
import { get, post, remove, stream } from "../api.js";
import { announced, loadVectors, setting, useVector } from "./store.js";

/** The vector that is being made, or was made last. */
export const job = signal<Job | undefined>(undefined);
export const refused = signal("");

export const isMaking = (): boolean => job.value?.status === "queued" || job.value?.status === "running";

/** Makes a vector out of the body of an extraction, and follows the job; a finished vector is turned on. */
export async function make(body: Readonly<Record<string, unknown>>): Promise<void> {
  refused.value = "";
  job.value = undefined;
  await follow(() => post<Job>("v1/vectors/extract", { model: setting.value.model, ...body }));
}

/** Goes on to follow what was begun before the page was loaded. */
export async function resume(): Promise<void> {
  const { data } = await get<{ data: Job[] }>("v1/jobs");
  const running = data.find(({ kind, status }) => kind === "extract" && (status === "queued" || status === "running"));
  if (running !== undefined) await follow(async () => running);
}

async function follow(begin: () => Promise<Job>): Promise<void> {
  try {
    job.value = await begin();
    announced.value = "Making the vector.";
    for await (const state of stream<Job>("GET", `v1/jobs/${job.value.id}/events`)) job.value = state;
  } catch (error) {
    job.value = undefined;
    refused.value = error instanceof Error ? error.message : String(error);
    return;
  }
  const { status, vector } = job.value;
  announced.value = `Making the vector: ${status}.`;
  if (status !== "succeeded" || vector === null) return;
  await loadVectors();
  useVector(vector.id, true);
}

export async function cancel(): Promise<void> {
  if (job.value === undefined) return;
  await remove(`v1/jobs/${job.value.id}`).catch((error: unknown) => { refused.value = String(error); });
}
