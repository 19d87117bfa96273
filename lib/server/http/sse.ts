import type { ServerResponse } from "node:http";
import type { FastifyReply } from "fastify";
import { onAbort } from "../../engine/index.js";
import { httpErrorOf } from "./errors.js";
import { API_DEFAULTS, API_HEADERS } from "./headers.js";
import { Outbox } from "./outbox.js";

const DONE = "data: [DONE]\n\n";
/** How long a client that does not read may hold up the end of its stream. */
const PATIENCE_MS = 5000;
const HEADERS = { "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no", ...API_HEADERS, ...API_DEFAULTS };
/** That of all streams of the process. */
const outbox = new Outbox();

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
): Promise<void> {
  const first = await values.next();
  reply.hijack(); // fastify's own streams cost more than the rest of an event
  const { raw } = reply;
  onAbort(left, () => { void values.return(undefined); });
  const forget = onAbort(stop, () => { setTimeout(() => raw.destroy(), PATIENCE_MS).unref(); });
  raw.once("close", forget); // the signal outlives the request
  raw.writeHead(reply.statusCode, HEADERS);
  outbox.end(raw, await write(raw, first, values, onFailure) ?? end);
}

/** Writes all values; after a failure, returns the last event. The next value is requested before one is written. */
async function write(
  raw: ServerResponse, first: IteratorResult<unknown>, rest: AsyncGenerator<unknown>, onFailure: Ends["onFailure"],
): Promise<string | undefined> {
  try {
    for (let each = first; !each.done;) {
      const next = rest.next();
      next.catch(() => undefined); // it is awaited below, perhaps much later
      await outbox.write(raw, eventOf(each.value));
      each = await next;
    }
    return undefined;
  } catch (error) {
    const refusal = httpErrorOf(error);
    if (refusal.status >= 500) onFailure(refusal.cause ?? refusal);
    return eventOf(refusal.body());
  } finally {
    await rest.return(undefined);
  }
}

function eventOf(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}
