import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageRoot } from "#native/prebuilt";

/** The names of all architectures that the bundled llama.cpp has, from its source. */
export function architectureNames(): string[] {
  const source = readSource("src/llama-arch.cpp");
  const [, table] = /LLM_ARCH_NAMES = \{(.*?)\n\};/s.exec(source) ?? [];
  if (table === undefined) throw new Error("llama.cpp's table of architectures is not where it was");
  return [...table.matchAll(/"([^"]+)"/g)].map(([, name]) => name!).filter((name) => name !== "(unknown)").sort();
}

function readSource(path: string): string {
  const bundle = join(packageRoot, "node_modules", "node-llama-cpp", "llama", "gitRelease.bundle");
  const folder = mkdtempSync(join(tmpdir(), "llama-steer-"));
  try {
    execFileSync("git", ["clone", "--quiet", "--bare", bundle, folder], { stdio: "pipe" });
    return execFileSync("git", ["-C", folder, "show", `HEAD:${path}`], { encoding: "utf8", maxBuffer: 1 << 26 });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
