import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import { onAbort } from "../../engine/index.js";
import { httpErrorOf } from "./errors.js";

const DONE = "data: [DONE]\n\n";
/** How long a client that does not read may hold up the end of its stream. */
const PATIENCE_MS = 5000;

/** When a stream ends early. */
interface Ends {
  /** The client has closed the connection. */
  left: AbortSignal;
  /** The values end by themselves once this fires. */
  stop?: AbortSignal;
  /** A failure of our own in the middle, of which the client learns only that it happened. */
  onFailure: (error: unknown) => void;
}

/**
 * Sends values as server-sent events, as fast as the client reads them. A failure before the first value is thrown, so that it gets a
 * status; a later one is the last event. `end`: what follows the last value.
 */
export async function sendEvents(
  reply: FastifyReply, values: AsyncGenerator<unknown>, { left, stop, onFailure }: Ends, end: string = DONE,
): Promise<FastifyReply> {
  const first = await values.next();
  const stream = Readable.from(events(first, values, end, onFailure), { objectMode: false });
  onAbort(left, () => { void values.return(undefined); }); // the stream may be destroyed before it is read
  const forget = onAbort(stop, () => { setTimeout(() => reply.raw.destroy(), PATIENCE_MS).unref(); });
  reply.raw.once("close", forget); // the signal outlives the request
  return reply.header("content-type", "text/event-stream; charset=utf-8").header("x-accel-buffering", "no").send(stream);
}

async function* events(
  first: IteratorResult<unknown>, rest: AsyncGenerator<unknown>, end: string, onFailure: Ends["onFailure"],
): AsyncGenerator<string> {
  try {
    for (let each = first; !each.done; each = await rest.next()) yield `data: ${JSON.stringify(each.value)}\n\n`;
    if (end !== "") yield end;
  } catch (error) {
    const refusal = httpErrorOf(error);
    if (refusal.status >= 500) onFailure(refusal.cause ?? refusal);
    yield `data: ${JSON.stringify(refusal.body())}\n\n`;
  } finally {
    await rest.return(undefined);
  }
}
