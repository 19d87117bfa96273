/** A command or program of a documentation page, as it stands there. */
export interface Block {
  kind: "program" | "commands" | "json";
  text: string;
  /** Where it begins, from 1. */
  line: number;
  /** Why it is not run: from the comment before it. */
  notRun?: string;
}

const KINDS: Record<string, Block["kind"]> = { ts: "program", js: "program", sh: "commands", json: "json" };

/**
 * The blocks of a page in order: fenced ones of these languages, and indented ones that are commands. A program that begins with `//
 * continues` is a part of the one before.
 */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  const lines = markdown.split("\n");
  let notRun: string | undefined;
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    const comment = /^<!-- not run: (.+) -->$/.exec(line);
    const fence = /^```(\w*)/.exec(line);
    if (comment) notRun = comment[1]!;
    else if (fence) {
      const end = lines.indexOf("```", i + 1);
      if (end < 0) throw new Error(`line ${i + 1}: a block is not closed`);
      const kind = KINDS[fence[1]!];
      if (kind) add(blocks, { kind, text: lines.slice(i + 1, end).join("\n"), line: i + 2, ...(notRun && { notRun }) });
      notRun = undefined;
      i = end;
    } else if (/^ {4}\S/.test(line) && /^\s*$|-->$/.test(lines[i - 1] ?? "")) {
      let end = i;
      while (/^ {4}\S/.test(lines[end] ?? "")) end++;
      add(
        blocks,
        { kind: "commands", text: lines.slice(i, end).map((each) => each.slice(4)).join("\n"), line: i + 1, ...(notRun && { notRun }) },
      );
      notRun = undefined;
      i = end - 1;
    }
  }
  return blocks;
}

function add(blocks: Block[], block: Block): void {
  const before = blocks.findLast(({ kind }) => kind === "program");
  if (block.kind === "program" && block.text.startsWith("// continues")) {
    if (!before) throw new Error(`line ${block.line}: there is no program to continue`);
    before.text += `\n${block.text}`;
  } else blocks.push(block);
}

/** Single commands: comments cut, lines that end in a backslash joined. */
export function commandsOf(text: string): string[] {
  return text.replace(/\\\n\s*/g, "").split("\n").map((line) => line.replace(/(^|\s+)#.*$/, "").trim()).filter((line) => line !== "");
}
