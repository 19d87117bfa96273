import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { evaluate } from "../../lib/experiments.js";

const example = (name: string): string => `docs/examples/${name}`;
const run = promisify(execFile);

test("every example is listed, and tested here", async () => {
  const programs = (await readdir("docs/examples")).filter((name) => name.endsWith(".mjs")).sort();
  expect(programs).toEqual(["both.mjs", "server.mjs", "switch.mjs"]);
  for (const name of programs) expect(await readFile("docs/examples/README.md", "utf8")).toContain(`(${name})`);
});

test("switch.mjs: Italian to the first full stop, French behind it", async () => {
  const { stdout } = await run(process.execPath, [example("switch.mjs")]);
  const [before, after] = stdout.split("\n")[0]!.split("|");
  expect((await evaluate.detectLanguage(before!)).language).toBe("ita");
  expect((await evaluate.detectLanguage(after!)).language).toBe("fra");
  expect(stdout).toMatch(/'ITA vs ENG: recorded', 'FRA vs ENG: recorded'/); // what was changed is echoed by its alphas
}, 100_000);

test("both.mjs: steering to two properties gives both", async () => {
  const { stdout } = await run(process.execPath, [example("both.mjs")], { env: { ...process.env, NO_COLOR: "1" } });
  const row = (name: string): number[] => new RegExp(`│ ${name} +│ (\\d+) +│ (\\d+) +│ (\\d+) +│ 10 │`).exec(stdout)!.slice(1).map(Number);
  expect(row("unsteered")[0]).toBe(0);
  expect(row("both, Dyn")[2]).toBeGreaterThanOrEqual(7);
}, 100_000);

test("server.mjs: answers several at once, each in its own way, and refuses what it does not know", async () => {
  const server = spawn(process.execPath, [example("server.mjs"), "tiny", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = (await once(createInterface(server.stdout), "line")) as [string];
    const url = `http://localhost:${/(\d+)$/.exec(line)![1]}`;
    const ask = (body: object): Promise<Response> => fetch(
      url, { method: "POST", body: JSON.stringify({ question: "How do I plan the picnic?", ...body }) },
    );
    const answers = await Promise.all([{ steer: { ITA: 1 } }, { steer: { FRA: 1 } }, {}].map(async (body) => (await ask(body)).text()));
    expect(await Promise.all(answers.map(async (answer) => (await evaluate.detectLanguage(answer)).language))).toEqual(
      ["ita", "fra", "eng"],
    );
    const refused = await ask({ steer: { X: 1 } });
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining("there are ITA, FRA, ENi2f")]);
    const left = new AbortController();
    await fetch(url, { method: "POST", body: JSON.stringify({ question: "How do I plan the picnic?" }), signal: left.signal })
      .then(() => left.abort());
    expect(await (await ask({})).text()).toBe(answers[2]);
    const exited = once(server, "exit");
    server.kill("SIGTERM");
    expect((await exited)[0]).toBe(0);
  } finally {
    server.kill("SIGKILL");
  }
}, 100_000);
