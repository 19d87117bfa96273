import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const COMMAND = fileURLToPath(new URL("../../bin/llama-steer.js", import.meta.url));

/** The reference of the command line: every command's own help, as yargs writes it. */
export function cliReference(): string {
  const sections = commandsBelow([]).map(({ words, text }) => `## ${["llama-steer", ...words].join(" ")}\n\n\`\`\`text\n${text}\n\`\`\`\n`);
  return `# The command line\n\nWritten by \`npm run docs:cli\` from the commands themselves. [Errors and exit codes](errors.md).\n\n${sections.join("\n")}`;
}

function commandsBelow(words: string[]): Array<{ words: string[]; text: string }> {
  const text = help(words);
  const list = /\nCommands:\n([\s\S]*?)\n\n/.exec(text)?.[1] ?? "";
  const names = [...list.matchAll(new RegExp(`^  ${["llama-steer", ...words].join(" ")} ([a-z]+)`, "gm"))].map((match) => match[1]!);
  return [{ words, text }, ...names.flatMap((name) => commandsBelow([...words, name]))];
}

function help(words: string[]): string {
  const { status, stdout, stderr } = spawnSync(
    process.execPath, [COMMAND, ...words, "--help"], { encoding: "utf8", env: { ...process.env, NO_COLOR: "1", LC_ALL: "C" } },
  );
  if (status !== 0) throw new Error(`llama-steer ${words.join(" ")} --help: ${stderr}`);
  return stdout.trimEnd();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(cliReference());
