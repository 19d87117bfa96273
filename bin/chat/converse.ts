import { answer } from "./answer.js";
import type { Front } from "./front.js";
import type { Session } from "./session.js";
import { isCommand, runSlashCommand } from "./slash-commands.js";

/** Answers questions and runs commands until the input ends or `/quit`. */
export async function converse(session: Session, front: Front): Promise<void> {
  for (let input = await front.read(); input !== undefined; input = await front.read()) {
    try {
      if (input.trim() === "") continue;
      if (!isCommand(input)) await answer(session, front, (listener) => session.ask(input!.trim(), listener));
      else if (!await runSlashCommand(input, session, front)) return;
    } catch (error) {
      front.failed(error, !isCommand(input));
    }
  }
}
