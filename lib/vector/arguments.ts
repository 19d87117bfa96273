// Schemas of vectors and related values, as arguments of public functions.
import { z } from "zod";
import { given } from "../arguments/index.js";
import { HOOK_SITES } from "./hook-site.js";
import { fingerprintSchema } from "./provenance.js";
import type { HowToAdd } from "./steering-vector.js";

export const siteArgument = z.enum(HOOK_SITES);
export { fingerprintSchema as fingerprintArgument };

const source = z.union([
  given.required({ positive: given.named, negative: given.named }),
  given.required({ kind: z.enum(["words", "derived", "imported"]) }),
], "expected the origin of the vector");

/** A consistent vector with at least one direction. */
export const vectorArgument = given.required({
  site: siteArgument, layers: given.tokens, nSteps: given.whole, width: given.whole, data: given.float32s,
  provenance: given.required({ property: given.text, model: fingerprintSchema, origin: source }),
}).refine((value) => fits(value as Shape), "expected data of layers · nSteps · width numbers, and at least one direction");

interface Shape {
  layers: number[];
  nSteps: number;
  width: number;
  data: Float32Array;
}

function fits({ layers, nSteps, width, data }: Shape): boolean {
  if (layers.length < 1 || nSteps < 1 || width < 1 || layers.some((layer) => layer < 0)) return false;
  return data.length === layers.length * nSteps * width;
}

/** A probe as a gate's: what it reads, and with what. */
const gate = given.required({
  probe: given.required({
    site: siteArgument, layer: given.whole, bias: given.number, weights: given.float32s,
    provenance: given.required({ property: given.text, model: fingerprintSchema }),
  }),
});

const { anything, indices } = given;
const how = {
  layers: indices, heads: indices, tail: anything, phases: anything, only: anything, gate: anything, operator: anything, keepNorm: anything,
};
/** `steer` checks what the others say. */
export const howToAddArgument = given.optionsOf<HowToAdd>(how);

/** A steering, or one of a running generation, which has properties of its own. */
const withVector = given.required({
  vector: vectorArgument, layers: indices.optional(), heads: indices.optional(), gate: gate.optional(),
});
const plainWithVector = given.only(["vector", "schedule", ...Object.keys(how)], withVector);
const isPlain = (value: object): boolean => Object.getPrototypeOf(value) === Object.prototype;

/** Checks vectors and leaves the rest to `steer`, which refuses texts and other values with E_BAD_SPEC. */
const steering = given.anything.superRefine((value: unknown, context) => {
  if (!given.isObject(value)) return;
  const parsed = given.isObject(value["vector"]) ? (isPlain(value) ? plainWithVector : withVector).safeParse(value)
    : given.isObject(value["provenance"]) ? vectorArgument.safeParse(value) : undefined;
  if (parsed?.success === false) context.addIssue(firstOf(parsed.error));
});
/** A single steering: a vector, alone or with its schedule. */
export const oneSteeringArgument = steering.refine((value) => value !== undefined && value !== null, "expected a vector with its schedule");
/** One steering, a list of them, or none. */
export const steerArgument = given.anything.superRefine((value: unknown, context) => {
  const parsed = Array.isArray(value) ? given.list(steering).safeParse(value.flat()) : steering.safeParse(value);
  if (!parsed.success) context.addIssue(firstOf(parsed.error));
});

function firstOf({ issues: [first] }: z.ZodError): { code: "custom"; message: string; path: PropertyKey[] } {
  return { code: "custom", message: first!.message, path: first!.path };
}
