import type { Headers } from "./headers.js";

/** The names in a list of nm's: of what a library exports, or of what another one takes from elsewhere. */
export function namesOf(nm: string, isMac = process.platform === "darwin"): Set<string> {
  const names = nm.split("\n").map((line) => line.trim().split(/\s+/).at(-1)!.replace(/@.*$/, "")).filter(Boolean);
  return new Set(isMac ? names.map((name) => name.replace(/^_/, "")) : names);
}

/** Those that are llama.cpp's. */
export function ofLlamaCpp(names: ReadonlySet<string>): string[] {
  return [...names].filter((name) => /^(_Z\d+)?(llama|ggml|gguf)_/.test(name)).sort();
}

/** A C++ function's name without its parameters' types: `llama_graph_reserve` of `_Z19llama_graph_reserveP13llama_contextjjj`. */
export function plainName(symbol: string): string {
  const [, length, rest] = /^_Z(\d+)(.*)/.exec(symbol) ?? [];
  return rest === undefined ? symbol : rest.slice(0, Number(length));
}

/** What is different about the functions in use, in lines: those that a library lacks, and those declared otherwise. */
export function symbolChanges(used: readonly string[], exported: ReadonlySet<string>, before: Headers, after: Headers): string[] {
  const missing = used.filter((symbol) => !exported.has(symbol)).map((symbol) => `${symbol} is not exported`);
  const declared = used.map(plainName).flatMap((name) => {
    const [old, now] = [before.functionOf(name), after.functionOf(name)];
    return old === now ? [] : [name, `  - ${old ?? "(not declared)"}`, `  + ${now ?? "(not declared)"}`];
  });
  return [...missing, ...declared];
}

/** Our declarations of the functions in use that another llama.cpp does not declare. */
export function lackingDeclarations(used: readonly string[], before: Headers, after: Headers): string[] {
  const lacking = used.map(plainName).filter((name) => after.functionOf(name) === undefined);
  return lacking.flatMap((name) => before.functionOf(name) ?? []);
}

/** The functions that the engine asks the CPU back end for by name (native/engine/cpu_backend.h). */
export function askedByName(sources: readonly string[]): string[] {
  return [...new Set(sources.flatMap((source) => [...source.matchAll(/\bcpu_function<[^;]*>\("(\w+)"\)/g)].map(([, name]) => name!)))];
}
