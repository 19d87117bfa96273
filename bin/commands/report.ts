import type { ArgumentsCamelCase, Argv, CommandModule } from "yargs";
import { writeReport } from "../../lib/experiments.js";
import { defined, interruptible, note, print, wholeNumber, type OutputOptions } from "../common.js";

interface ReportArguments extends OutputOptions {
  runs: string[];
  out: string;
  title: string | undefined;
  reference: string | undefined;
  samples: number | undefined;
}

/** `llama-steer report RUN… --out DIR` */
export const reportCommand: CommandModule<object, ReportArguments> = {
  command: "report <runs..>",
  describe: "Write figures, tables and one page of runs, or of all runs below a folder",
  builder: (yargs) => yargs.positional("runs", { type: "string", array: true, demandOption: true, describe: "Folders of runs, or folders with runs below them" })
    .option("out", { type: "string", nargs: 1, demandOption: true, describe: "Folder to write to: index.html, which needs nothing else, figures (SVG, PNG), tables (CSV, Markdown)" })
    .option("title", { type: "string", nargs: 1, describe: "Title of the page" })
    .option("reference", { type: "string", nargs: 1, describe: "Setting that the others are compared with, e.g. \"Fixed 1\"; the first Dyn by default" })
    .option("samples", { type: "number", nargs: 1, coerce: wholeNumber("samples", 0), describe: "Prompts of each run whose answers are shown; 3 by default" })
    .example("$0 report runs/tiny --out report", "All runs of a plan on one page, report/index.html")
    .example("$0 report runs/gemma3-270m/ITA-ENG --out report --reference \"Fixed 1.5\"", "One run, compared with a fixed α")
    .epilogue("Evaluations that lie beside a run's results are shown (llama-steer evaluate); the language of the answers is judged in passing.\n"
      + "Texts of single tokens need the run's model on this machine; it is never downloaded for them.") as unknown as Argv<ReportArguments>,
  handler: (options) => interruptible((signal) => report(options, signal)),
};

async function report({ runs, out, title, reference, samples, json, quiet }: ArgumentsCamelCase<ReportArguments>, signal: AbortSignal): Promise<void> {
  const onProgress = (done: number, total: number): void => {
    if (total > 1 && done < total) note(`${done + 1}/${total}`, quiet);
  };
  const { page, files } = await writeReport(runs, { out, signal, onProgress, ...defined({ title, reference, samples }) });
  if (json) return print(JSON.stringify({ page, files }));
  print(page);
  note(`${files.length} files in ${out}`, quiet);
}
