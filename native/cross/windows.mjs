// Windows links against import libraries, and node-llama-cpp's packages have only the DLLs. So we make them from what the DLLs export.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { exportsOf } from "./pe.mjs";

/** llama.cpp's C++ functions that the engine uses: Microsoft's compiler spells their names in its own way. */
const SPELLINGS = { _Z19llama_graph_reserveP13llama_contextjjj: /^\?llama_graph_reserve@@YAPEAUggml_cgraph@@PEAUllama_context@@III@Z$/ };

/** Makes import libraries for the DLLs in `bins` that the addon uses, in a folder of their own, which is returned. */
export function importLibraries(zig, bins, folder) {
  const out = join(folder, "import");
  mkdirSync(out, { recursive: true });
  for (const name of readdirSync(bins).filter((each) => /^(llama\.|ggml\.|ggml-base).*\.dll$/.test(each))) {
    const lines = exportsOf(readFileSync(join(bins, name))).flatMap((symbol) => {
      if (/^\w+$/.test(symbol)) return [symbol];
      return Object.entries(SPELLINGS).filter(([, spelling]) => spelling.test(symbol)).map(([ours]) => `${ours} == ${symbol}`);
    });
    const definition = join(out, `${name}.def`);
    writeFileSync(definition, `LIBRARY "${name}"\nEXPORTS\n${lines.map((line) => `  ${line}\n`).join("")}`);
    const args = ["dlltool", "-m", "i386:x86-64", "-d", definition, "-l", join(out, `lib${name}.a`)];
    const { status, stderr } = spawnSync(zig, args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`zig dlltool failed: ${stderr}`);
  }
  return out;
}

/**
 * C source of Node-API's functions as jumps to those of the running program, which looks them up when the addon is loaded. An import
 * library would look them up in a file called node.exe, and Electron's program is not called that.
 */
export function nodeApiStubs() {
  const { v9 } = createRequire(import.meta.url)("node-api-headers").symbols;
  const names = [...v9.js_native_api_symbols, ...v9.node_api_symbols].sort();
  return `#include <windows.h>

static const char *const names[] = {
${names.map((name) => `    "${name}",`).join("\n")}
};
__attribute__((used)) FARPROC llama_steer_node_api[${names.length}];

__attribute__((constructor)) static void find_functions(void) {
    HMODULE program = GetModuleHandleW(NULL);
    for (int i = 0; i < ${names.length}; ++i) llama_steer_node_api[i] = GetProcAddress(program, names[i]);
}

${names.map((name, index) => `__asm__(".globl ${name}\\n${name}: jmpq *llama_steer_node_api+${index * 8}(%rip)\\n");`).join("\n")}
`;
}
