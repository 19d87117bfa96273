import { parseArgs } from "node:util";
import { findModel, isInstalled, registryModels } from "../../../lib/models/registry.js";

/** What `npm run bench` measures, and how long. */
export interface BenchOptions {
  /** Names or paths. */
  models: string[];
  /** Beginnings of rows' names; empty = all rows. */
  only: string[];
  rounds: number;
  /** New tokens per generation. */
  tokens: number;
  /** Prompts per side of an extraction. */
  support: number;
  threads: number | undefined;
  /** Types in which each model is measured, too. */
  quantise: string[];
  json: string | undefined;
  /** A results file whose table is printed; nothing is measured. */
  table: string | undefined;
  list: boolean;
}

export const USAGE = `npm run bench -- [OPTIONS]
  --models A,B     names or paths of GGUFs (default: the downloaded models, or tiny)
  --only A,B       rows whose name begins with one of these, and what they are divided by (--list prints all names)
  --rounds N       rounds after a warm-up (default 5; 0 = only try every row once)
  --tokens N       new tokens per generation (default 32)
  --support N      prompts per side for the vectors (default 5)
  --threads N      threads of every program (default: all cores)
  --quantise A,B   measure each model in these types as well, e.g. F16,Q8_0 (re-quantised: right for speed, not for quality)
  --json FILE      put the results into this file; those of other rows and models stay there
  --table FILE     print the table of such a file and measure nothing
  --list           print the names of the rows`;

const list = (text: string | undefined): string[] => (text ?? "").split(",").filter(Boolean);

/** Throws on an unknown option or a number that is none. */
export function benchOptions(args: readonly string[]): BenchOptions {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      models: text, only: text, rounds: text, tokens: text, support: text, threads: text, quantise: text, json: text, table: text,
      list: { type: "boolean", default: false },
    },
  });
  const count = (name: "rounds" | "tokens" | "support" | "threads", least: number): number | undefined => {
    const given = values[name];
    if (given !== undefined && !(Number.isInteger(Number(given)) && Number(given) >= least)) {
      throw new Error(`--${name} ${given}: expected an integer of at least ${least}`);
    }
    return given === undefined ? undefined : Number(given);
  };
  return {
    models: values.models === undefined ? installedModels() : list(values.models), only: list(values.only),
    rounds: count("rounds", 0) ?? 5, tokens: count("tokens", 4) ?? 32, support: count("support", 1) ?? 5, threads: count("threads", 1),
    quantise: list(values.quantise), json: values.json, table: values.table, list: values.list,
  };
}

function installedModels(): string[] {
  const names = registryModels().filter((model) => model.purpose === "generate" && model.name !== "tiny" && isInstalled(model));
  return names.length > 0 ? names.map(({ name }) => name) : [findModel("tiny").name];
}
