import type { Session } from "./session.js";
import { SLASH_COMMANDS } from "./slash-commands.js";

/** What the Tab key completes a line to: commands, and the properties of /alpha and /drop. */
export function completions(line: string, { properties }: Pick<Session, "properties">): string[] {
  const names = SLASH_COMMANDS.map(({ name, args }) => `/${name}${args === undefined ? "" : " "}`);
  const named = properties.flatMap(({ name }) => [`/alpha ${name} `, `/drop ${name}`]);
  return (/^\/\S* /.test(line) ? named : names).filter((each) => each.startsWith(line));
}
