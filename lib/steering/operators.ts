import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";
import { isMeasured, type Schedule } from "./schedule.js";

export const operatorSchema = z.enum(["add", "project", "ablate", "clamp"]);
/**
 * What a steering does with its vector (docs/method.md §4, Operators): add it; add it up to a target component; remove the component
 * along it; or limit that component.
 */
export type Operator = z.infer<typeof operatorSchema>;

/** How a steering changes activations. Both have defaults: to add, and to let the norm change. */
export interface Operation {
  operator?: Operator | undefined;
  /** Scale what the steering changed to the norm that it had. */
  keepNorm?: boolean | undefined;
}

const operationSchema = z.object({ operator: operatorSchema.default("add"), keepNorm: z.boolean().default(false) });

/** Validate an operator and fill in the defaults. Throws E_BAD_SPEC. */
export function parseOperation({ operator, keepNorm }: Operation): Required<z.infer<typeof operationSchema>> {
  return parsedBy(operationSchema, { operator, keepNorm }, (problem) => new SteeringError("E_BAD_SPEC", problem));
}

/** What of an operation is not the default: what specifications and files say of it. */
export function writtenOperation({ operator, keepNorm }: Operation): { operator?: Operator; keepNorm?: true } {
  return { ...(operator && operator !== "add" && { operator }), ...(keepNorm && { keepNorm }) };
}

/** Throws E_BAD_SPEC for an operator whose alpha a schedule cannot measure. */
export function checkOperator({ operator }: Operation, schedule: Schedule): void {
  if (operator !== "clamp" || !isMeasured(schedule)) return;
  throw new SteeringError("E_BAD_SPEC", "clamp changes more the smaller its alpha is, so neither dyn nor budget can measure one: use "
    + "another schedule, such as fixed");
}
