import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, readdir, readFile, symlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { beforeEach, expect, test } from "@jest/globals";
import { temporaryFolder } from "../support/io-helpers.js";
import webpack, { type Configuration } from "webpack";

const run = promisify(execFile);
const EXAMPLES = resolve("docs/examples/bundlers");
const MINUTES = 180_000;
let project: string;

/** A user's project: the examples, and packages of these names in node_modules, linked. */
async function projectWith(...packages: string[]): Promise<string> {
  const folder = await temporaryFolder();
  await mkdir(join(folder, "node_modules"));
  for (const name of packages) await symlink(
    name === "llama-steer" ? resolve(".") : resolve("node_modules", name), join(folder, "node_modules", name),
  );
  return folder;
}

/** Where a bundle is deployed there is nothing but the bundle and llama-steer. */
async function deployed(): Promise<string> {
  const place = await projectWith("llama-steer");
  await cp(join(project, "dist"), join(place, "dist"), { recursive: true });
  return place;
}

beforeEach(async () => {
  project = await projectWith("llama-steer", "esbuild", "webpack", "vite");
  await cp(EXAMPLES, project, { recursive: true });
});

/** The bundle is one small file that imports llama-steer, and its answer is steered. */
async function expectItalian(): Promise<void> {
  const place = await deployed();
  expect(await readdir(join(place, "dist"))).toEqual(["app.mjs"]);
  const bundle = await readFile(join(place, "dist", "app.mjs"), "utf8");
  expect(bundle.length).toBeLessThan(5000);
  expect(bundle).not.toContain("answer.mjs\"");
  const { stdout } = await run(process.execPath, ["dist/app.mjs"], { cwd: place });
  expect(stdout).toMatch(/^ita: (\S+ ){5}/);
}

test("esbuild", async () => {
  await run(process.execPath, ["esbuild.mjs"], { cwd: project });
  await expectItalian();
}, MINUTES);

test("webpack", async () => {
  const { default: config } = await import(pathToFileURL(join(project, "webpack.config.mjs")).href) as { default: Configuration };
  const output = { ...config.output, path: join(project, "dist") };
  const stats = await promisify(webpack as (of: Configuration, done: (error: Error | null, stats: webpack.Stats) => void) => void)(
    { ...config, context: project, output },
  );
  expect(stats.toString({ all: false, errors: true, warnings: true })).toBe("");
  await expectItalian();
}, MINUTES);

test("Vite renders a page on the server, while it is written and from the bundle", async () => {
  await run(process.execPath, [join("node_modules", "vite", "bin", "vite.js"), "build"], { cwd: project });
  const place = await deployed();
  await cp(join(EXAMPLES, "vite-server.mjs"), join(place, "vite-server.mjs"));
  for (const [cwd, args] of [[project, []], [place, ["--built"]]] as const) {
    const server = spawn(process.execPath, ["vite-server.mjs", ...args], {
      cwd, env: { ...process.env, PORT: "0" }, stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const [line] = (await once(server.stdout, "data")) as [Buffer];
      const url = `http://localhost:${/port (\d+)/.exec(line.toString())![1]}`;
      expect(await (await fetch(`${url}/?question=How+do+I+plan+the+picnic`)).text()).toMatch(/<title>ita<\/title><p>(\S+ ){5}/);
      const refused = await fetch(`${url}/?question=${"why+".repeat(3000)}`);
      expect([refused.status, await refused.text()]).toEqual([400, expect.stringMatching(/context/)]);
    } finally {
      server.kill();
    }
  }
}, MINUTES);
