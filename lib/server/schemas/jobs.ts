import { z } from "zod";
import { vectorSchema } from "./vectors.js";

/** Background work: an extraction or a calibration. */
export const jobSchema = z.object({
  id: z.string(),
  object: z.literal("job"),
  kind: z.enum(["extract", "calibrate"]),
  model: z.string(),
  status: z.enum(["queued", "running", "succeeded", "failed", "cancelled"]),
  /** `done` of `total` steps of the present stage; the total may grow. Null before it begins. */
  progress: z.object({ stage: z.string(), done: z.number(), total: z.number() }).nullable(),
  created: z.number().int(),
  started: z.number().int().nullable(),
  ended: z.number().int().nullable(),
  /** The vector, saved in the server's folder, with its health and calibration; null until it has succeeded. */
  vector: vectorSchema.nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});
export type Job = z.infer<typeof jobSchema>;

export const jobListSchema = z.object({ object: z.literal("list"), data: z.array(jobSchema) });
