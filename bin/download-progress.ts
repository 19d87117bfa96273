import { SingleBar } from "cli-progress";
import type { OnProgress } from "../lib/io/download.js";

/** What a command shows, on stderr, while a model is downloaded. */
export interface DownloadProgress {
  onProgress: OnProgress;
  onNotice: (line: string) => void;
  /** Ends the bar; call it on success and on failure. */
  stop: () => void;
}

const PLAIN_STEP = 0.1;

/** A bar with rate and time left on a terminal, a plain line per 10 % elsewhere, nothing when quiet. */
export function downloadProgress(name: string, quiet: boolean): DownloadProgress {
  if (quiet) return { onProgress: () => {}, onNotice: () => {}, stop: () => {} };
  return process.stderr.isTTY ? barProgress(name) : plainProgress(name);
}

/** Bytes as decimal megabytes, the unit of the hub's pages, e.g. "98.4 MB". */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function barProgress(name: string): DownloadProgress {
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
        // Another source, of another size: its rate starts anew.
        meter = startMeter(done, total);
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

function plainProgress(name: string): DownloadProgress {
  let meter: Meter | undefined;
  let shown = 0;
  return {
    onProgress: (done, total) => {
      if (total === undefined) return;
      if (meter === undefined || meter.total !== total) {
        meter = startMeter(done, total);
        shown = stepOf(done, total);
      }
      const step = stepOf(done, total);
      if (!(step > shown)) return;
      shown = step;
      const { rate, left } = meter.payload(done);
      process.stderr.write(`${name}: ${step * 100 * PLAIN_STEP}% of ${megabytes(total)}, ${rate}/s, ${left} left\n`);
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
  payload: (done: number) => { done: string; size: string; rate: string; left: string };
}

/** Rates count from here on only: bytes of an earlier, interrupted download took no time now. */
function startMeter(startBytes: number, total: number): Meter {
  const startedAt = performance.now();
  return {
    total,
    payload: (done) => {
      const seconds = (performance.now() - startedAt) / 1000;
      const rate = seconds > 0 ? (done - startBytes) / seconds : 0;
      return { done: megabytes(done), size: megabytes(total), rate: megabytes(rate), left: duration(done < total ? (total - done) / rate : 0) };
    },
  };
}

function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
