import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { packageRoot } from "#native/prebuilt";
import type { NativeSiteNode } from "../../lib/native/index.js";
import { groupedChanges, nodeLines } from "../support/site-nodes.js";
import { scratch } from "../support/tiny-files.js";
import { failedAssertions, readHeaders, structChanges } from "../upgrade/headers.js";
import { writeStandIns } from "../upgrade/other-version.js";
import { exitStatus, page } from "../upgrade/page.js";
import { CommandFailed, outputOf } from "../upgrade/processes.js";
import { askedByName, lackingDeclarations, namesOf, ofLlamaCpp, plainName, symbolChanges } from "../upgrade/symbols.js";

const BEFORE = readHeaders([`
  #define LLAMA_API \\
      something
  extern "C" {
  struct llama_knobs { // see below
      float a;   // first; of two
      /* was int32_t */ uint32_t b[GGML_MAX_DIMS];
      bool (*callback)(void * data);
  };
  // llama_free(x);
  LLAMA_API void   llama_free(struct llama_context * ctx);
  LLAMA_API int32_t llama_old(
      const char * text, // the text
      bool flag);
  }`]);

describe("headers", () => {
  test("are read without comments, and whatever the spaces", () => {
    expect(BEFORE.functionOf("llama_free")).toBe("LLAMA_API void llama_free(struct llama_context*ctx)");
    expect(BEFORE.functionOf("llama_old")).toBe("LLAMA_API int32_t llama_old(const char*text,bool flag)");
    expect(BEFORE.functionOf("llama_fre")).toBeUndefined();
    expect(BEFORE.membersOf("llama_knobs")).toEqual(["float a", "uint32_t b[GGML_MAX_DIMS]", "bool(*callback)(void*data)"]);
    expect(BEFORE.membersOf("llama_knob")).toBeUndefined();
  });

  test("a struct's changes are its members' and its assertions'", () => {
    const before = ["int a", "int b"];
    const failed = ["s is no longer 8 bytes long", "s.b is no longer at byte 4", "s.c is gone", "ss.b is no longer at byte 4"];
    expect(structChanges("s", before, before, [])).toEqual([]);
    expect(structChanges("s", before, undefined, [])).toEqual(["s is gone"]);
    expect(structChanges("s", before, ["int b", "int a"], [])).toEqual(["s", "  ! the members' order is another"]);
    expect(structChanges("s", before, ["long a", "int b"], failed)).toEqual([
      "s", "  ! s is no longer 8 bytes long", "  ! s.c is gone", "  ! at other bytes: b", "  - int a", "  + long a",
    ]);
  });

  test.each([
    ["GCC", "x.h:3:1: error: static assertion failed: s is no longer 8 bytes long\nx.h:4:2: error: ‘c’ is not a member of ‘s’\n"
      + "x.h:4:2: error: ‘struct s’ has no member named ‘c’\nx.h:4:9: error: template argument 1 is invalid\n"],
    ["Clang", "x.h:3:1: error: static assertion failed due to requirement 'sizeof(s) == 8': s is no longer 8 bytes long\n"
      + "x.h:4:2: error: no member named 'c' in 's'\n"],
    ["an older Clang", "x.h:3:1: error: static_assert failed due to requirement 'sizeof(s) == 8' \"s is no longer 8 bytes long\"\n"
      + "x.h:4:2: error: no member named 'c' in 's'; did you mean 'b'?\n"],
  ])("what %s says of assertions", (_, output) => {
    expect(failedAssertions(output)).toEqual(["s is no longer 8 bytes long", "s.c is gone"]);
  });
});

describe("symbols", () => {
  test("of nm's lists, llama.cpp's are taken", () => {
    const nm = `                 U llama_free\n                 U malloc@GLIBC_2.2.5\n00001 T ggml_init\n U _Z5llamav
      U _Z19llama_graph_reserveP13llama_contextjjj\n w gguf_free\n`;
    expect(ofLlamaCpp(namesOf(nm, false))).toEqual(["_Z19llama_graph_reserveP13llama_contextjjj", "ggml_init", "gguf_free", "llama_free"]);
    expect(ofLlamaCpp(namesOf("  U _llama_free\n  U _free\n  U __Z19llama_graph_reserveP13llama_contextjjj\n", true)))
      .toEqual(["_Z19llama_graph_reserveP13llama_contextjjj", "llama_free"]);
    expect(["llama_free", "_Z19llama_graph_reserveP13llama_contextjjj"].map(plainName)).toEqual(["llama_free", "llama_graph_reserve"]);
  });

  test("one that is not exported, one that is declared otherwise, one that is not declared", () => {
    const after = readHeaders(["LLAMA_API void llama_free(struct llama_context * ctx, bool now);"]);
    const used = ["llama_free", "llama_old"];
    expect(symbolChanges(used, new Set(used), BEFORE, BEFORE)).toEqual([]);
    expect(symbolChanges(used, new Set(["llama_free"]), BEFORE, after)).toEqual([
      "llama_old is not exported",
      "llama_free",
      "  - LLAMA_API void llama_free(struct llama_context*ctx)", "  + LLAMA_API void llama_free(struct llama_context*ctx,bool now)",
      "llama_old", "  - LLAMA_API int32_t llama_old(const char*text,bool flag)", "  + (not declared)",
    ]);
    expect(lackingDeclarations(used, BEFORE, after)).toEqual(["LLAMA_API int32_t llama_old(const char*text,bool flag)"]);
  });

  test("functions that are asked for by name are found in our source", () => {
    const source = readFileSync(join(packageRoot, "native", "engine", "thread_pool.cc"), "utf8");
    expect(askedByName([source])).toEqual([
      "ggml_threadpool_new", "ggml_threadpool_free", "ggml_backend_cpu_set_threadpool", "ggml_backend_set_n_threads",
    ]);
  });

  test("stand-ins are functions that end the process", () => {
    using space = scratch();
    const header = readFileSync(writeStandIns(space.folder, ["LLAMA_API int llama_old(bool flag)"]), "utf8");
    expect(header).toContain("static inline int llama_old(bool flag) { std::abort(); }\n");
  });
});

describe("nodes", () => {
  const node = (site: string, layer: number, signature: string, isCut = false): NativeSiteNode =>
    ({ site, layer, width: 8, isCut, signature });

  test("one line for all layers that agree", () => {
    expect(nodeLines([
      node("attn_out", 1, ""),
      node("resid_post", 0, "l_out-0=ADD(ffn_out-0,embd)"), node("resid_post", 1, "l_out-1=ADD(ffn_out-1,l_out-0)"),
      node("resid_post", 2, "l_out-2=ADD(ffn_out-2,l_out-1)"), node("resid_post", 4, "l_out-4=ADD(ffn_out-4,l_out-3)"),
      node("resid_post", 10, "l_out-10=ADD(MUL(blk.10.x-y.weight,cache_k_l10),l_out-11)", true),
    ])).toEqual([
      "attn_out 1 [8] the product of blk.N.attn_output.weight",
      "resid_post 0 [8] l_out-N=ADD(ffn_out-N,embd)",
      "resid_post 1-2, 4 [8] l_out-N=ADD(ffn_out-N,l_out-{N-1})",
      "resid_post 10 [8, output rows] l_out-N=ADD(MUL(blk.N.x-y.weight,cache_k_lN),l_out-{N+1})",
    ]);
  });

  test("architectures that changed alike are named together, after those whose sites changed", () => {
    const [mid, post] = ["resid_mid 0 [8] x=ADD(y,z)", "resid_post 0-1, 3 [8] w=ADD(x,VIEW(v-N (view)))"];
    const before = { a: [mid, post], b: [mid, post], c: [mid], d: [post], e: ["no model: it crashes"] };
    expect(groupedChanges(before, before)).toEqual([]);
    const otherPost = "resid_post 0-1, 3 [8] w=ADD(x,u)";
    const after = { a: [mid, otherPost], b: [mid, otherPost], d: [post, mid], e: ["resid_post 0-1 [8] w=ADD(x,z)"], f: [mid] };
    expect(groupedChanges(before, after)).toEqual([
      "names that are new: u",
      "c", "  ! is gone",
      "d", "  ! gains resid_mid 0", `  + ${mid}`,
      "e", "  ! gains resid_post 0, resid_post 1", "  - no model: it crashes", "  + resid_post 0-1 [8] w=ADD(x,z)",
      "f", "  ! is new", `  + ${mid}`,
      "a, b", `  - ${post}`, `  + ${otherPost}`,
    ]);
    expect(groupedChanges(before, { ...before, d: ["resid_post 0, 3 [8] w=ADD(x,VIEW(v-N (view)))"] })).toContain("  ! loses resid_post 1");
  });
});

describe("the page", () => {
  const same = { title: "symbols", outcome: "same", summary: "2 in use", lines: [] } as const;
  const lines = Array.from({ length: 30 }, (_, i) => `line ${i}`);
  const changed = { title: "structs", outcome: "changed", summary: "1 of 2", lines } as const;

  test("a line for each section, then what differs, not longer than a page", () => {
    expect(page("A, compared with B", [same, { ...changed, lines: ["s", "  - int a"] }], false))
      .toBe("A, compared with B\n\nsymbols   same     2 in use\nstructs   changed  1 of 2\n\nstructs:\n  s\n    - int a\n");
    expect(page("", [changed], false)).toMatch(/line 24\n {2}… and 5 more lines; --full shows them\n$/);
    expect(page("", [changed], true)).toMatch(/line 29\n$/);
  });

  test("its exit status", () => {
    const skipped = { title: "tests", outcome: "skipped", summary: "" } as const;
    expect(exitStatus([same, skipped])).toBe(0);
    expect(exitStatus([same, changed])).toBe(1);
    expect(exitStatus([changed, { ...same, outcome: "failed" }])).toBe(2);
  });
});

describe("commands", () => {
  const { signal } = new AbortController();

  test("one that fails, one that is missing, one that does not read its input", async () => {
    const failed = outputOf(process.execPath, ["-e", "console.log(1); console.error(2); process.exit(3)"], { signal });
    await expect(failed).rejects.toMatchObject({ output: expect.stringMatching(/^(1\n2|2\n1)$/) });
    await expect(outputOf("llama-steer-no-such-command", [], { signal })).rejects.toThrow(CommandFailed);
    expect(await outputOf(process.execPath, ["-e", "console.log(1)"], { signal, input: "x".repeat(1 << 20) })).toBe("1\n");
  });

  test("the signal ends a command and what it started", async () => {
    using space = scratch();
    const stop = new AbortController();
    const late = space.path("late");
    const grandchild = `setTimeout(() => require("fs").writeFileSync(${JSON.stringify(late)}, ""), 1500)`;
    const child = `require("child_process").spawnSync(process.execPath, ["-e", ${JSON.stringify(grandchild)}])`;
    const running = outputOf(process.execPath, ["-e", child], { signal: stop.signal });
    setTimeout(() => stop.abort(), 500);
    await expect(running).rejects.toThrow(/abort/);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(existsSync(late)).toBe(false);
  });
});
