import type { z } from "zod";
import { SteeringError } from "../../errors.js";
import { HttpError } from "../http/errors.js";
import { route, type Route } from "../http/route.js";
import { validateRequestSchema, validateResponseSchema } from "../schemas/index.js";
import type { Services } from "../services.js";
import { shorthandOf, specOf, steeringsOf } from "../vectors/steering.js";

type Verdict = z.infer<typeof validateResponseSchema>;

/** The route that checks specifications. */
export function steeringRoutes({ pool, shelf }: Services): Route[] {
  return [
    route("POST /v1/steering/validate", {
      summary: "The canonical form of a steering, or what is wrong with it", body: validateRequestSchema,
      answers: { description: "the verdict", schema: validateResponseSchema },
    }, async ({ body }): Promise<Verdict> => {
      using lease = await pool.lease(body.model);
      try {
        const loaded = await steeringsOf(shelf, body.steering, lease.model);
        const steering = loaded.map((each) => specOf(shelf, each));
        return { valid: true, steering, shorthand: steering.map(shorthandOf) };
      } catch (error) {
        if (!(error instanceof SteeringError || (error instanceof HttpError && error.status < 500))) throw error;
        return { valid: false, error: { code: error.code ?? "E_BAD_SPEC", message: error.message } };
      }
    }),
  ];
}
