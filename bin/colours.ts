import picocolors from "picocolors";

export type Colours = ReturnType<typeof picocolors.createColors>;

/**
 * Colours for what is written to a stream: those of a terminal that has them (`NO_COLOR`, `FORCE_COLOR` and `TERM` as Node reads them),
 * and none in a file or pipe unless `FORCE_COLOR` demands them, whatever the other stream is.
 */
export function coloursOf(stream: Pick<NodeJS.WriteStream, "isTTY" | "hasColors">): Colours {
  return picocolors.createColors(stream.isTTY ? stream.hasColors() : !["", "0", "false"].includes(process.env["FORCE_COLOR"] ?? ""));
}

export const onStdout = coloursOf(process.stdout);
export const onStderr = coloursOf(process.stderr);
