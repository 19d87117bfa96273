import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";
import { KINDS } from "./schedule-kinds.js";
import { isMeasured, type Schedule } from "./schedule.js";

const phaseSchema = z.enum(["prompt", "thinking", "answer"]);
/** When a vector is added: on the rows of the prompt, while the model thinks, or while it answers. */
export type SteeredPhase = z.infer<typeof phaseSchema>;
export const phasesSchema = z.array(phaseSchema).min(1).default(["answer"]);

/** Validate phases and fill in the default. Throws E_BAD_SPEC. */
export function parsePhases(input: readonly SteeredPhase[] | undefined): SteeredPhase[] {
  return parsedBy(phasesSchema, input, (problem) => new SteeringError("E_BAD_SPEC", `phases ${problem}`));
}

/** Throws E_BAD_SPEC for a schedule that cannot steer a prompt, where its phases include it. */
export function checkPhases(phases: readonly SteeredPhase[], schedule: Schedule): void {
  if (!phases.includes("prompt") || !isMeasured(schedule)) return;
  const { word } = KINDS[schedule.kind];
  throw new SteeringError("E_BAD_SPEC", `${word} measures its alpha per generated token, so it cannot steer the prompt: leave out the phase `
    + '"prompt", or use another schedule, such as fixed');
}
