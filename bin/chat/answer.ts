import type { AnswerWriter, Front } from "./front.js";
import type { Listener, Reply } from "./reply.js";
import type { Session } from "./session.js";

/** Has the model answer, and shows the answer as it comes. Throws what `ask` throws. */
export function answer(session: Session, front: Front, ask: (listener: Listener) => Promise<Reply>): Promise<Reply> {
  return front.interruptible((signal) => written(front.answer(session.how), signal, ask));
}

/** Writes an answer as it comes, and its end. Throws what `ask` throws. */
export async function written(writer: AnswerWriter, signal: AbortSignal, ask: (listener: Listener) => Promise<Reply>): Promise<Reply> {
  let reply: Reply | undefined;
  try {
    reply = await ask({ signal, onToken: (token) => writer.push(token) });
    return reply;
  } finally {
    writer.end(reply);
  }
}
