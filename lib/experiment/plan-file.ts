import type { Document } from "yaml";
import { z } from "zod";
import { SteeringError } from "../errors.js";
import { readUtf8 } from "../formats/index.js";
import { composeSchema, singleSchema } from "./config.js";

/** A plan is written by hand, and names at most `MAX_RUNS` runs. */
const MAX_BYTES = 2 ** 20;
/** So many mistakes are told at once. */
const MAX_SLIPS = 10;

const single = singleSchema.partial().omit({ seed: true });
const shared = single.omit({ positive: true, negative: true, evalDataset: true, supportIndices: true });

const planSchema = z.strictObject({
  /** Names, hf: addresses or files. */
  models: z.array(z.string().min(1)).min(1),
  /** Folder of datasets, relative to the plan; default: those that belong to each model. */
  datasets: z.string().optional(),
  seeds: z.array(z.number().int().min(0)).min(1).default([32]),
  /** For every run that does not say otherwise; `alphas` and `topP` for single runs only. */
  defaults: shared.default({}),
  single: z.array(single.required({ positive: true, negative: true })).default([]),
  /** `vectors` are names of `single` runs of this plan, e.g. ENunsafe-ENsafe. */
  compose: z.array(composeSchema.partial().required({ vectors: true, source: true, composed: true })).default([]),
});
/** What a plan's file holds; `defaults` count for every run that does not say otherwise. */
export type PlanFile = z.infer<typeof planSchema>;
/** Read a plan's file, YAML or JSON. YAML's parser takes long for some short texts: for other people's files in a process of its own. Throws E_NOT_FOUND, E_BAD_ARGUMENT naming the lines. */
export async function readPlanFile(path: string): Promise<PlanFile> {
  const text = await readUtf8(path, "E_BAD_ARGUMENT", MAX_BYTES);
  const { LineCounter, parseDocument } = await import("yaml");
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter });
  const [syntax] = document.errors;
  if (syntax) throw new SteeringError("E_BAD_ARGUMENT", `${path}: line ${syntax.linePos?.[0].line ?? "?"}: ${syntax.message.split("\n")[0]}`);
  const parsed = planSchema.safeParse(valueOf(document, path));
  if (parsed.success) return parsed.data;
  const slips = parsed.error.issues.slice(0, MAX_SLIPS).map((issue) => {
    const where = issue.code === "unrecognized_keys" ? [...issue.path, issue.keys[0]!] : issue.path;
    const found: unknown = issue.code === "unrecognized_keys" || where.length === 0 ? undefined : document.getIn(where);
    return `line ${lineOf(where)}: ${where.join(".")}${["string", "number", "boolean"].includes(typeof found) ? ` (${String(found)})` : ""}: ${issue.message}`;
  });
  const more = parsed.error.issues.length - slips.length;
  throw new SteeringError("E_BAD_ARGUMENT", `${path}: ${slips.join(`\n${path}: `)}${more > 0 ? `\n${path}: and ${more} more` : ""}`);

  /** Line of the value, or of the nearest thing around it that is there. */
  function lineOf(keys: readonly PropertyKey[]): number {
    const node = document.getIn(keys, true) as { range?: [number, number, number] } | undefined;
    if (node?.range) return lineCounter.linePos(node.range[0]).line;
    return keys.length === 0 ? 1 : lineOf(keys.slice(0, -1));
  }
}

/** What the document says, aliases resolved: some name nothing, or make a short text a huge value. */
function valueOf(document: Document, path: string): unknown {
  try {
    return document.toJS();
  } catch (cause) {
    throw new SteeringError("E_BAD_ARGUMENT", `${path}: ${(cause as Error).message}`, { cause });
  }
}
