import type { Document } from "yaml";
import { z } from "zod";
import { problemOf } from "../checks.js";
import { SteeringError } from "../errors.js";
import { readUtf8 } from "../formats/index.js";
import { composeSchema, singleSchema } from "./config.js";
import { methodsSchema } from "./methods/config.js";

/** Ample for a file written by hand, with at most `MAX_RUNS` runs. */
const MAX_BYTES = 2 ** 20;
/** Most mistakes reported at once. */
const MAX_SLIPS = 10;

const single = singleSchema.partial().omit({ seed: true });
const shared = single.omit({ positive: true, negative: true, evalDataset: true, supportIndices: true });

const planSchema = z.strictObject({
  /** Registry names, hf: addresses, or paths to GGUF files. */
  models: z.array(z.string().min(1)).min(1),
  /** Folder of datasets, relative to the plan; default: each model's own datasets. */
  datasets: z.string().optional(),
  seeds: z.array(z.number().int().min(0)).min(1).default([32]),
  /** Defaults of all runs; `alphas` and `topP` apply to single runs only. */
  defaults: shared.default({}),
  single: z.array(single.required({ positive: true, negative: true })).default([]),
  /** `vectors` are names of this plan's `single` runs, for example ENunsafe-ENsafe. */
  compose: z.array(composeSchema.partial().required({ vectors: true, source: true, composed: true })).default([]),
  /** Comparisons of methods, each at a strength of its own; `defaults` and `seeds` are not theirs. */
  methods: z.array(methodsSchema).default([]),
});
/** The content of a plan file. `defaults` apply to every run that does not override them. */
export type PlanFile = z.infer<typeof planSchema>;

/**
 * Read a plan file in YAML or JSON. Some short texts take the YAML parser very long, so call this in a separate process for files from
 * outside.
 *
 * @throws SteeringError E_NOT_FOUND, E_BAD_ARGUMENT naming the lines
 */
export async function readPlanFile(path: string): Promise<PlanFile> {
  const text = await readUtf8(path, "E_BAD_ARGUMENT", MAX_BYTES);
  const { LineCounter, parseDocument } = await import("yaml");
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter });
  const [syntax] = document.errors;
  if (syntax) {
    const line = syntax.linePos?.[0].line ?? "?";
    throw new SteeringError("E_BAD_ARGUMENT", `${path}: line ${line}: ${syntax.message.split("\n")[0]}`);
  }
  const parsed = planSchema.safeParse(valueOf(document, path));
  if (parsed.success) return parsed.data;
  const slips = parsed.error.issues.slice(0, MAX_SLIPS).map((issue) => {
    const { path: place, message, keys } = problemOf(issue);
    const where = keys ? [...place, keys[0]!] : place;
    const found: unknown = keys || where.length === 0 ? undefined : document.getIn(where);
    const value = ["string", "number", "boolean"].includes(typeof found) ? ` (${String(found)})` : "";
    return `line ${lineOf(where)}: ${where.join(".")}${value}: ${message}`;
  });
  const more = parsed.error.issues.length - slips.length;
  throw new SteeringError("E_BAD_ARGUMENT", `${path}: ${slips.join(`\n${path}: `)}${more > 0 ? `\n${path}: and ${more} more` : ""}`);

  /** Line of a value or, if it is missing, of the nearest node that encloses it. */
  function lineOf(keys: readonly PropertyKey[]): number {
    const node = document.getIn(keys, true) as { range?: [number, number, number] } | undefined;
    if (node?.range) return lineCounter.linePos(node.range[0]).line;
    return keys.length === 0 ? 1 : lineOf(keys.slice(0, -1));
  }
}

/** The document's value with aliases resolved. Fails for unknown aliases and for those that expand a short text into a huge value. */
function valueOf(document: Document, path: string): unknown {
  try {
    return document.toJS();
  } catch (cause) {
    throw new SteeringError("E_BAD_ARGUMENT", `${path}: ${(cause as Error).message}`, { cause });
  }
}
