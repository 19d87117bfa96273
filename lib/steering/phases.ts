import { z } from "zod";
import { parsedBy } from "../checks.js";
import { SteeringError } from "../errors.js";
import { KINDS } from "./schedule-kinds.js";
import { isMeasured, type Schedule } from "./schedule.js";
import type { Only } from "./selectors.js";

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

interface Conditions {
  phases: readonly SteeredPhase[];
  only?: Only | undefined;
  gate?: { shape?: string } | undefined;
  operator?: string | undefined;
}

/**
 * Throws E_BAD_SPEC for selectors or a gate where the phases include the prompt: both decide while tokens are generated; and for a smooth
 * gate of a clamp.
 */
export function checkConditions({ phases, only, gate, operator }: Conditions): void {
  if (gate?.shape === "smooth" && operator === "clamp") {
    throw new SteeringError("E_BAD_SPEC", "clamp changes more the smaller its alpha is, so a smooth gate would open it the wrong way "
      + "round: use a hard one");
  }
  const given = [...(only ? ["selectors"] : []), ...(gate ? ["a gate"] : [])].join(" and ");
  if (!phases.includes("prompt") || given === "") return;
  throw new SteeringError("E_BAD_SPEC", `${given} can decide only about generated tokens, not about those of the prompt: leave out the phase `
    + '"prompt", or steer the prompt with a second specification');
}
