import { SingleBar } from "cli-progress";

/** What a command shows on stderr during long work. */
export interface Progress {
  /** `total` is undefined while it is unknown. */
  onProgress: (done: number, total: number | undefined) => void;
  onNotice: (line: string) => void;
  /** Ends the bar. Call it after success and after failure. */
  stop: () => void;
}

/** How to write an amount, e.g. bytes as megabytes. */
export type AmountFormat = (amount: number) => string;

const PLAIN_STEP = 0.1;
/** Shorter work prints no lines. */
const LEAST_SECONDS = 2;

/** On a terminal a bar with rate and time left, elsewhere one line per 10 %, with `quiet` nothing. */
export function showProgress(name: string, quiet: boolean, format: AmountFormat): Progress {
  if (quiet) return { onProgress: () => {}, onNotice: () => {}, stop: () => {} };
  return process.stderr.isTTY ? barProgress(name, format) : plainProgress(name, format);
}

/** Bytes in decimal megabytes, as Hugging Face shows them, e.g. "98.4 MB". */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** A number of tokens, e.g. "5,120 tokens". */
export function tokenCount(tokens: number): string {
  return `${Math.round(tokens).toLocaleString("en")} tokens`;
}

function barProgress(name: string, format: AmountFormat): Progress {
  const bar = new SingleBar({
    stream: process.stderr,
    format: `${name} [{bar}] {percentage}%  {done} of {size}  {rate}/s  {left} left`,
    barCompleteChar: "=",
    barIncompleteChar: " ",
    barsize: 24,
    hideCursor: true,
  });
  let meter: Meter | undefined;
  const stop = () => {
    if (meter) bar.stop();
    meter = undefined;
  };
  return {
    onProgress: (done, total) => {
      if (total === undefined) return;
      if (meter === undefined || meter.total !== total) {
        // Another source with another size: its rate starts from zero.
        meter = startMeter(done, total, format);
        bar.start(total, done, meter.payload(done));
      }
      bar.update(done, meter.payload(done));
    },
    onNotice: (line) => {
      stop();
      process.stderr.write(`${line}\n`);
    },
    stop,
  };
}

function plainProgress(name: string, format: AmountFormat): Progress {
  let meter: Meter | undefined;
  let shown = 0;
  return {
    onProgress: (done, total) => {
      if (total === undefined) return;
      if (meter === undefined || meter.total !== total) {
        meter = startMeter(done, total, format);
        shown = stepOf(done, total);
      }
      const step = stepOf(done, total);
      if (!(step > shown) || meter.seconds() < LEAST_SECONDS) return;
      shown = step;
      const { rate, left } = meter.payload(done);
      process.stderr.write(`${name}: ${step * 100 * PLAIN_STEP}% of ${format(total)}, ${rate}/s, ${left} left\n`);
    },
    onNotice: (line) => void process.stderr.write(`${line}\n`),
    stop: () => {},
  };
}

function stepOf(done: number, total: number): number {
  return Math.floor(done / total / PLAIN_STEP);
}

interface Meter {
  total: number;
  seconds: () => number;
  payload: (done: number) => { done: string; size: string; rate: string; left: string };
}

/** Starts to measure the rate; the work that an earlier, interrupted run has done does not count. */
function startMeter(start: number, total: number, format: AmountFormat): Meter {
  const startedAt = performance.now();
  const seconds = (): number => (performance.now() - startedAt) / 1000;
  return {
    total, seconds,
    payload: (done) => {
      const rate = seconds() > 0 ? (done - start) / seconds() : 0;
      return { done: format(done), size: format(total), rate: format(rate), left: duration(done < total ? (total - done) / rate : 0) };
    },
  };
}

function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
