import { SingleBar } from "cli-progress";

/** What a command shows on stderr during long work. */
export interface Progress {
  /** `total` is undefined while it is unknown. */
  onProgress: (done: number, total: number | undefined) => void;
  onNotice: (line: string) => void;
  /** Ends the bar. Call it after success and after failure. */
  stop: () => void;
}

/** What is counted; the amounts of MB are in bytes. */
type Unit = "MB" | "tokens" | "answers" | "prompts" | "texts";

const PLAIN_STEP = 0.1;
/** Shorter work prints no lines. */
const LEAST_SECONDS = 2;

/** On a terminal a bar with rate and time left, elsewhere one line per 10 %, with `quiet` nothing. */
export function showProgress(name: string, quiet: boolean, unit: Unit): Progress {
  if (quiet) return { onProgress: () => {}, onNotice: () => {}, stop: () => {} };
  return process.stderr.isTTY ? barProgress(name, unit) : plainProgress(name, unit);
}

/** Bytes in decimal megabytes, as Hugging Face shows them, e.g. "98.4 MB". */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** An amount without its unit, e.g. "5,120". */
function amountText(amount: number, unit: Unit): string {
  if (unit === "MB") return (amount / 1e6).toFixed(1);
  return amount.toLocaleString("en", { maximumFractionDigits: amount < 100 ? 1 : 0 });
}

function barProgress(name: string, unit: Unit): Progress {
  const bar = new SingleBar({
    stream: process.stderr,
    format: `${name} [{bar}] {percentage}%  {done} of {size} ${unit}  {rate}/s  {left} left`,
    barCompleteChar: "=",
    barIncompleteChar: " ",
    barsize: 16,
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
        meter = startMeter(done, total, unit);
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

function plainProgress(name: string, unit: Unit): Progress {
  let meter: Meter | undefined;
  let shown = 0;
  return {
    onProgress: (done, total) => {
      if (total === undefined) return;
      if (meter === undefined || meter.total !== total) {
        meter = startMeter(done, total, unit);
        shown = stepOf(done, total);
      }
      const step = stepOf(done, total);
      if (!(step > shown) || meter.seconds() < LEAST_SECONDS) return;
      shown = step;
      const { size, rate, left } = meter.payload(done);
      process.stderr.write(`${name}: ${Math.round(step * 100 * PLAIN_STEP)}% of ${size} ${unit}, ${rate}/s, ${left} left\n`);
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
function startMeter(start: number, total: number, unit: Unit): Meter {
  const startedAt = performance.now();
  const seconds = (): number => (performance.now() - startedAt) / 1000;
  return {
    total, seconds,
    payload: (done) => {
      const rate = seconds() > 0 ? (done - start) / seconds() : 0;
      const left = duration(done < total ? (total - done) / rate : 0);
      return { done: amountText(done, unit), size: amountText(total, unit), rate: amountText(rate, unit), left };
    },
  };
}

function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
