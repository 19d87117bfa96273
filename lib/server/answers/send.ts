import { onAbort } from "../../engine/index.js";
import type { Call } from "../http/route.js";
import { HttpError } from "../http/errors.js";
import { sendEvents } from "../http/sse.js";
import type { Services } from "../services.js";
import type { Answer } from "./answer.js";
import { ChatFormat } from "./chat-format.js";
import type { Choice, Ended } from "./choice.js";
import { usageOf, type Format } from "./format.js";
import { TextFormat } from "./text-format.js";

type Endings = Array<{ choice: Choice; ended: Ended }>;

/** Writes an answer and sends it, as a stream or whole; it ends when its client leaves. */
export async function sendAnswer(
  answer: Answer, { reply, left }: Pick<Call<unknown>, "reply" | "left">, { onFailure }: Pick<Services, "onFailure">,
): Promise<unknown> {
  onAbort(left, () => answer.cancel(new HttpError(499, "the client has left", { code: "client_closed" })));
  const format = answer.kind === "chat" ? new ChatFormat(answer) : new TextFormat(answer);
  if (answer.settings.isStream) {
    return sendEvents(reply, chunks(answer, format), { left, stop: answer.signal, onFailure });
  }
  const endings: Endings = [];
  for await (const event of answer.write()) if (event.kind === "end") endings.push(event);
  endings.sort((a, b) => a.choice.index - b.choice.index);
  return format.whole(endings, usageOf(endings));
}

async function* chunks(answer: Answer, format: Format): AsyncGenerator<object> {
  const endings: Endings = [];
  for await (const event of answer.write()) {
    if (event.kind === "end") endings.push(event);
    const chunk = format.chunk(event);
    if (chunk) yield chunk;
  }
  if (answer.settings.hasUsage) yield format.usageChunk(usageOf(endings));
}
