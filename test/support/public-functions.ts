import * as experiments from "../../lib/experiments.js";
import * as root from "../../lib/index.js";

/** Both public entries. */
export const api = { ...root, ...experiments };

/** Names of all public functions, so that none is forgotten. */
export function publicFunctions(): string[] {
  return Object.entries(api as Record<string, unknown>).flatMap(([name, value]): string[] => {
    if (typeof value === "function") return /^class/.test(String(value)) ? [] : [name];
    return Object.entries(value as object).flatMap(
      ([inner, each]) => (typeof each === "function" && !/^class/.test(String(each)) ? [`${name}.${inner}`] : []),
    );
  });
}
