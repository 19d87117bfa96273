import { SteeringError } from "../../lib/index.js";
import { written } from "./answer.js";
import type { AnswerWriter, Front, HowAnswered } from "./front.js";
import { readReply, type Reply } from "./reply.js";
import { scheduleWords } from "./schedule-words.js";
import type { Session } from "./session.js";

/**
 * Answers the last question unsteered and steered, beside the chat: at once and side by side if the terminal is wide enough, otherwise one
 * after the other. Throws E_BAD_ARGUMENT if there is nothing to compare.
 */
export async function compare(session: Session, front: Front): Promise<void> {
  const { properties } = session;
  if (properties.length === 0) {
    throw new SteeringError("E_BAD_ARGUMENT", "nothing to compare: no vector steers this chat; add one with /steer FILE");
  }
  const settings = properties.map(({ name, steering }) => `${name} ${scheduleWords(steering.schedule)}`).join(" + ");
  const sides: HowAnswered[] = [{ title: "unsteered", properties: [] }, { title: settings, properties }];
  const read = (side: HowAnswered, writer: AnswerWriter, signal: AbortSignal): Promise<Reply> => written(writer, signal, (listener) => {
    const { question, stream } = session.again(side.properties, signal);
    return readReply(question, stream, listener);
  });
  session.again([], new AbortController().signal); // throws before anything is shown
  const writers = front.sideBySide(sides);
  if (writers) {
    const replies = await front.interruptible((signal) =>
      Promise.allSettled(sides.map((side, index) => read(side, writers[index]!, signal))));
    for (const each of replies) if (each.status === "rejected") throw each.reason;
    return;
  }
  for (const side of sides) {
    const { finishReason } = await front.interruptible((signal) => read(side, front.answer(side), signal));
    if (finishReason === "interrupted") return;
  }
}
