import type { Command } from "../command.js";

/** The commands in the order of `--help`. A new command is a file in this folder and one line here. */
export const COMMANDS: readonly Command[] = [
  (await import("./demo.js")).default,
  (await import("./models.js")).default,
  (await import("./extract.js")).default,
  (await import("./calibrate.js")).default,
  (await import("./chat.js")).default,
  (await import("./generate.js")).default,
  (await import("./trace.js")).default,
  (await import("./capture.js")).default,
  (await import("./vector.js")).default,
  (await import("./vectors.js")).default,
  (await import("./probe.js")).default,
  (await import("./experiment.js")).default,
  (await import("./evaluate.js")).default,
  (await import("./results.js")).default,
  (await import("./report.js")).default,
  (await import("./datasets.js")).default,
  (await import("./inspect.js")).default,
  (await import("./doctor.js")).default,
];
