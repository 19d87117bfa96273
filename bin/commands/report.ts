import { writeReport } from "../../lib/experiments.js";
import { command, options, type OutputOptions, type Values } from "../command.js";
import { defined, interruptible, note, print } from "../common.js";
import { count, file } from "../options.js";

const OPTIONS = options({
  runs: { ...file, array: true, describe: "Folders of runs, or folders that contain runs" },
  out: { ...file, describe: "Folder to write to: the page index.html, figures and tables" },
  title: { type: "string", describe: "Title of the page" },
  reference: {
    type: "string", describe: "Setting to compare the others with, e.g. \"Fixed 1\"", defaultDescription: "the first Dyn",
  },
  samples: { ...count(0), describe: "Number of prompts per run whose answers are shown", defaultDescription: "3" },
});

export default command({
  usage: "report <runs..>",
  describe: "Write a report on runs: one page with figures and tables",
  options: OPTIONS,
  examples: [
    ["report runs/tiny --out report", "all runs of a plan on one page, report/index.html"],
    ["report runs/gemma3-270m/ITA-ENG --out report --reference \"Fixed 1.5\"", "one run, compared with a fixed alpha"],
  ],
  epilogue: "Once, beside llama-steer: npm install vega@6 vega-lite@6 @resvg/resvg-js@2 dejavu-fonts-ttf@2 (they draw the figures).\n"
    + "The page needs no other file. Figures are SVG and PNG, tables are CSV and Markdown.\n"
    + "The report includes the evaluations in the runs' folders (llama-steer evaluate), and detects the language of the answers itself.\n"
    + "It shows the texts of single tokens only if the run's model is on this machine; the model is never downloaded for that.",
  run: (given) => interruptible((signal) => report(given, signal)),
});

type ReportArguments = Values<typeof OPTIONS> & OutputOptions;

async function report({ runs, out, title, reference, samples, json, quiet }: ReportArguments, signal: AbortSignal): Promise<void> {
  const onProgress = (done: number, total: number): void => {
    if (total > 1 && done < total) note(`run ${done + 1} of ${total}`, quiet);
  };
  const { page, files } = await writeReport(runs, { out, signal, onProgress, ...defined({ title, reference, samples }) });
  if (json) return print(JSON.stringify({ page, files }));
  print(page);
  note(`${files.length} files in ${out}`, quiet);
}
