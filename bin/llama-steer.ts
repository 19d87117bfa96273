#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { packageRoot } from "#native/prebuilt";
import { EXIT } from "./exit-codes.js";

const args = process.argv.slice(2);
// `llama-steer models list | head -1` closes the pipe early, which is not a failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.failure));
// Notes that nobody reads any more must not end a server.
process.stderr.on("error", () => undefined);

// Programs ask for the version often, and the rest takes half a second to load.
if (args.length === 1 && args[0] === "--version") {
  const { version } = JSON.parse(readFileSync(`${packageRoot}/package.json`, "utf8")) as { version: string };
  process.stdout.write(`${version}\n`);
} else {
  const { main } = await import("./main.js");
  process.exitCode = await main(args);
}
