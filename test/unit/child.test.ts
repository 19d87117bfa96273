import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "@jest/globals";
import { temporaryFolder } from "../support/io-helpers.js";

test("files are written where handles cannot flush, as under Yarn's Plug'n'Play", async () => {
  const folder = await temporaryFolder();
  const formats = pathToFileURL(resolve("dist/lib/formats/index.js")).href;
  const program = `
    import { open, readFile } from "node:fs/promises";
    import { flushContent, writeFileAtomic } from ${JSON.stringify(formats)};
    const file = await open(${JSON.stringify(join(folder, "log"))}, "a");
    const handles = Object.getPrototypeOf(file);
    for (const name of ["sync", "datasync"]) handles[name] = () => { throw new Error("Method not implemented."); };
    await file.appendFile("row");
    await flushContent(file);
    await writeFileAtomic(${JSON.stringify(join(folder, "result"))}, "whole");
    console.log(await readFile(${JSON.stringify(join(folder, "result"))}, "utf8"));`;
  const said = execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
  expect([said, readFileSync(join(folder, "log"), "utf8")]).toEqual(["whole\n", "row"]);
});

test("under Yarn's Plug'n'Play, children find packages as their parent does", async () => {
  const folder = await temporaryFolder();
  const at = (name: string): string => join(folder, name);
  // As Yarn writes them: a resolver, which every process has to require, and a loader for ES modules.
  writeFileSync(at(".pnp.cjs"), `
    process.versions.pnp = "3";
    const Module = require("node:module");
    const resolve = Module._resolveFilename;
    Module._resolveFilename = (name, ...more) => (name === "pnpapi" ? __filename : resolve(name, ...more));`);
  writeFileSync(at(".pnp.loader.mjs"), `
    export const resolve = (name, context, next) =>
      name === "plugged" ? { url: "data:text/javascript,export default 'found'", shortCircuit: true } : next(name, context);`);
  writeFileSync(at("child.mjs"), 'import found from "plugged"; process.send([process.versions.pnp, found]);');
  const child = pathToFileURL(resolve("dist/lib/child.js")).href;
  writeFileSync(at("parent.mjs"), `
    import { startChild } from ${JSON.stringify(child)};
    startChild(new URL("./child.mjs", import.meta.url), []).on("message", (said) => console.log(JSON.stringify(said)));`);
  const NODE_OPTIONS = `--require ${at(".pnp.cjs")} --experimental-loader ${at(".pnp.loader.mjs")}`;
  expect(execFileSync(process.execPath, [at("parent.mjs")], { env: { ...process.env, NODE_OPTIONS }, encoding: "utf8" })).toBe(
    '["3","found"]\n',
  );
});
