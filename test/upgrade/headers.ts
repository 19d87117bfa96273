/** What llama.cpp's headers declare, as text that can be compared: without comments and with one space at most. */
export interface Headers {
  /** The declaration of a function, e.g. `LLAMA_API void llama_free(struct llama_context*ctx)`. */
  functionOf(name: string): string | undefined;
  /** The members of a struct, in order, e.g. `float bias`. */
  membersOf(struct: string): string[] | undefined;
}

export function readHeaders(sources: readonly string[]): Headers {
  const text = sources.map(bare).join("\n");
  return {
    functionOf: (name) => {
      const [found] = new RegExp(`[^;{}]*\\b${name} ?\\([^;{}]*(?=;)`).exec(text) ?? [];
      return found && compact(found);
    },
    membersOf: (struct) => {
      const [, body] = new RegExp(`\\bstruct ${struct} ?\\{([^}]*)\\}`).exec(text) ?? [];
      return body?.split(";").map(compact).filter(Boolean);
    },
  };
}

function bare(source: string): string {
  return source.replace(/\/\*.*?\*\//gs, " ").replace(/\/\/.*$/gm, "").replace(/^\s*#(?:.*\\\n)*.*$/gm, "")
    .replace(/extern "C" \{/g, ";").replace(/\s+/g, " ");
}

function compact(code: string): string {
  return code.replace(/\s+/g, " ").replace(/ ?([*(),[\]&]) ?/g, "$1").trim();
}

/** The structs that native/engine/llama_abi.h asserts things of. */
export function assertedStructs(abi: string): string[] {
  return [...abi.matchAll(/^STRUCT\((\w+),/gm)].map(([, name]) => name!);
}

/** The assertions, and the members, that a compiler's output says do not hold; GCC's or Clang's. */
export function failedAssertions(output: string): string[] {
  const errors = [...output.matchAll(/error: (.*)/g)].map(([, message]) => message!
    .replace(/^static[_ ]assert\w* failed[^:"]*(: |")/, "").replace(/"$/, "").replaceAll(/[‘’]/g, "'")
    // Clang
    .replace(/^no member named '(\w+)' in '(\w+)'.*/, "$2.$1 is gone")
    // GCC
    .replace(/^'(?:struct )?(\w+)' has no member named '(\w+)'.*/, "$1.$2 is gone")
    .replace(/^'(\w+)' is not a member of '(\w+)'.*/, "$2.$1 is gone"));
  return [...new Set(errors)].filter((error) => !/template argument \d is invalid/.test(error));
}

/**
 * What is different about a struct, in lines; none where nothing is.
 *
 * @param failed of `failedAssertions`
 */
export function structChanges(
  struct: string, before: readonly string[] | undefined, after: readonly string[] | undefined, failed: readonly string[],
): string[] {
  if (!after) return [`${struct} is gone`];
  const own = failed.filter((message) => new RegExp(`^${struct}[. ]`).test(message));
  const moved = own.filter((message) => message.includes("no longer at byte"));
  const others = own.filter((message) => !moved.includes(message));
  const members = [
    ...(before ?? []).filter((member) => !after.includes(member)).map((member) => `  - ${member}`),
    ...after.filter((member) => !before?.includes(member)).map((member) => `  + ${member}`),
  ];
  const isReordered = members.length === 0 && before !== undefined && before.join() !== after.join();
  if (own.length === 0 && members.length === 0 && !isReordered) return [];
  return [
    struct, ...others.map((message) => `  ! ${message}`),
    ...(moved.length > 0 ? [`  ! at other bytes: ${moved.map((message) => /\.(\w+)/.exec(message)![1]).join(", ")}`] : []),
    ...members, ...(isReordered ? ["  ! the members' order is another"] : []),
  ];
}
