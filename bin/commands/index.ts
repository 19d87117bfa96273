import type { Command } from "../command.js";

/** The commands in the order of `--help`. A new command is a file in this folder and one line here. */
export const COMMANDS: readonly Command[] = (await Promise.all([
  import("./demo.js"),
  import("./models.js"),
  import("./extract.js"),
  import("./calibrate.js"),
  import("./generate.js"),
  import("./trace.js"),
  import("./capture.js"),
  import("./vector.js"),
  import("./probe.js"),
  import("./experiment.js"),
  import("./evaluate.js"),
  import("./results.js"),
  import("./report.js"),
  import("./datasets.js"),
  import("./inspect.js"),
  import("./doctor.js"),
])).map((module) => module.default);
