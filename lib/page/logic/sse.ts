/** Reads the data of server-sent events out of the pieces in which they arrive. */
export class EventReader {
  private readonly decoder = new TextDecoder();
  private rest = "";

  /** The data of the events that `piece` completes. */
  read(piece: Uint8Array): string[] {
    return this.split(this.rest + this.decoder.decode(piece, { stream: true }));
  }

  private split(text: string): string[] {
    // A carriage return at the end may be half of a line break.
    const whole = text.endsWith("\r") ? text.slice(0, -1) : text;
    const blocks = whole.replace(/\r\n?/g, "\n").split("\n\n");
    this.rest = blocks.pop()! + (whole === text ? "" : "\r");
    return blocks.map(dataOf).filter((data) => data !== undefined);
  }
}

/** Lines `data: …` of one event, joined; undefined for a comment or an event without data. */
function dataOf(block: string): string | undefined {
  const lines = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).replace(/^ /, ""));
  return lines.length === 0 ? undefined : lines.join("\n");
}

/** The data of all events of a response, until it ends or sends `[DONE]`. Throws an Error that says so if the connection breaks. */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const events = new EventReader();
  const pieces = body.getReader();
  try {
    for (;;) {
      const { done, value } = await pieces.read().catch((cause: unknown) => {
        throw new Error("The connection to the server was lost. Is llama-steer serve still running?", { cause }); // browsers say less
      });
      if (done) return;
      for (const data of events.read(value)) {
        if (data === "[DONE]") return;
        yield data;
      }
    }
  } finally {
    await pieces.cancel().catch(() => undefined);
  }
}
