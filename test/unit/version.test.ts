import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";
import { EXIT } from "../../bin/exit-codes.js";

const COMMAND = fileURLToPath(new URL("../../bin/llama-steer.js", import.meta.url));
/** The source of a module, as an address to import. */
const moduleOf = (source: string): string => `data:text/javascript,${encodeURIComponent(source)}`;

test("--version loads neither the library nor a package", () => {
  const refuse = moduleOf(`export const load = (url, context, next) => {
    if (/node_modules|[/]lib[/]/.test(url)) throw new Error(url);
    return next(url, context);
  };`);
  const hooks = moduleOf(`import { register } from "node:module"; register(${JSON.stringify(refuse)});`);
  const start = (arg: string): number | null => spawnSync(process.execPath, ["--import", hooks, COMMAND, arg]).status;
  expect([start("--version"), start("--help")]).toEqual([EXIT.ok, EXIT.failure]);
});
