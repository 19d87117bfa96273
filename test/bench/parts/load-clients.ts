// Clients of a server under load, in a process of their own, so that what they cost is not taken for the server's.
// Started by test/bench/serve-load.ts, which sends one message `Load` and gets one `Measured`.
import { Agent, request } from "node:http";

/** What the clients do. */
export interface Load {
  url: string;
  nClients: number;
  seconds: number;
  nTokens: number;
  /** What is asked, in turns; each with its own steering. */
  asked: Array<{ prompt: string; steering: string | null }>;
  /** One answer in so many is left in the middle; 0: none. */
  leaving: number;
}

/** Times in milliseconds. */
export interface Measured {
  tokens: number;
  firsts: number[];
  gaps: number[];
  failures: number;
  left: number;
  /** Whole answers to each of `asked`, and how often each was given. */
  answers: Array<Record<string, number>>;
  seconds: number;
}

const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
const TEXT = /"text":("(?:[^"\\]|\\.)*")/;

/** Streams one answer; resolves when it has ended, or was left. */
function answer(load: Load, which: number, isLeaving: boolean, all: Measured): Promise<void> {
  const body = JSON.stringify({ ...load.asked[which]!, max_tokens: load.nTokens, stream: true });
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const begun = performance.now();
  return new Promise((resolve) => {
    const sent = request(`${load.url}/v1/completions`, { method: "POST", agent, headers }, (response) => {
      if (response.statusCode !== 200) {
        all.failures++;
        response.resume().on("end", resolve);
        return;
      }
      let [rest, text, before, nRead] = ["", "", begun, 0];
      response.setEncoding("utf8");
      response.on("data", (piece: string) => {
        const events = (rest + piece).split("\n\n");
        rest = events.pop()!;
        const texts = events.flatMap((event) => {
          const found = TEXT.exec(event)?.[1];
          return found === undefined || found === '""' ? [] : [JSON.parse(found) as string];
        });
        if (texts.length === 0) return;
        const now = performance.now();
        if (nRead === 0) all.firsts.push(now - begun);
        else all.gaps.push(now - before);
        before = now;
        nRead += texts.length;
        all.tokens += texts.length;
        text += texts.join("");
        if (!isLeaving || nRead < load.nTokens / 2) return;
        all.left++;
        sent.destroy();
      });
      response.on("end", () => { all.answers[which]![text] = (all.answers[which]![text] ?? 0) + 1; });
      response.on("close", resolve).on("error", () => undefined);
    });
    sent.on("error", () => resolve()).end(body);
  });
}

process.once("message", (load: Load) => {
  const all: Measured = { tokens: 0, firsts: [], gaps: [], failures: 0, left: 0, answers: load.asked.map(() => ({})), seconds: 0 };
  const begun = performance.now();
  const until = begun + load.seconds * 1000;
  const client = async (index: number): Promise<void> => {
    for (let turn = index; performance.now() < until; turn++) {
      const isLeaving = load.leaving > 0 && turn % load.leaving === 0;
      await answer(load, turn % load.asked.length, isLeaving, all);
    }
  };
  void Promise.all(Array.from({ length: load.nClients }, (_, index) => client(index))).then(() => {
    all.seconds = (performance.now() - begun) / 1000;
    process.send!(all, () => process.exit(0));
  });
});
