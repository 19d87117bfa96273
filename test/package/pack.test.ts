import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, symlink, writeFile, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { evaluate } from "../../lib/experiments.js";
import { blocksOf, commandsOf } from "../docs/blocks.js";

const run = promisify(execFile);
const root = resolve(".");
const tool = (name: string): string => join(root, "node_modules", ".bin", name);
let folder: string;
let tarball: string;
let files: Array<{ path: string; size: number }>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llama-steer-pack-"));
  // Without scripts: `prepack` would clear the compiled tests that are running.
  const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], { maxBuffer: 1e7 });
  const [packed] = JSON.parse(stdout) as [{ filename: string; files: typeof files }];
  ({ files } = packed);
  tarball = join(folder, packed.filename);
}, 60_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("what npm would publish", () => {
  const paths = (): string[] => files.map(({ path }) => path);

  test("has what a user needs, and nothing that only we do", () => {
    expect(paths()).toEqual(expect.arrayContaining([
      "package.json", "README.md", "LICENSE", "CMakeLists.txt", "binding.gyp", "dist/lib/index.js", "dist/lib/index.d.ts",
      "dist/lib/index.cjs", "dist/lib/index.d.cts",
      "dist/lib/experiments.js", "dist/lib/experiments.d.ts", "dist/lib/experiments.cjs", "dist/lib/experiments.d.cts",
      "dist/lib/server.js", "dist/lib/server.d.ts", "dist/lib/server.cjs", "dist/lib/server.d.cts",
      "dist/bin/llama-steer.js", "native/build.mjs", "native/prebuilt.mjs", "native/gpu.mjs", "native/addon.cc", "models/registry.json",
      "models/tiny/tiny.gguf", "models/tiny/tiny-formality.gguf",
      "models/datasets/ITA/ITA_train.json", "docs/errors.md", "docs/steering.schema.json", "docs/api.md", "CHANGELOG.md",
      "docs/examples/server.mjs", "docs/figures/steps.svg", "dist/page/index.html",
    ]));
    expect(paths().filter(
      (path) => /^(test|build\/(?!prebuilt\/)|node_modules|runs|\.ci)\/|^dist\/(test|lib\/page)|\.map$|\.tsbuildinfo$|(?<!\.d)\.m?ts$|\.py$/.test(path),
    )).toEqual([]);
  });

  test("is small: the embedded models are most of it", () => {
    const size = (of: (path: string) => boolean): number => files.filter(({ path }) => of(path)).reduce((sum, each) => sum + each.size, 0);
    expect(size((path) => path.endsWith(".gguf"))).toBeLessThan(10e6);
    expect(size((path) => path.startsWith("models/gallery/"))).toBeLessThan(1e6);
    const isAddon = (path: string): boolean => path.startsWith("build/prebuilt/"); // not there in a clone
    expect(size((path) => !path.endsWith(".gguf") && !isAddon(path))).toBeLessThan(7e6); // 6.5: datasets, vectors, code and the page
    expect(size(isAddon)).toBeLessThan(5e6);
  });

  test("the page is built, and small", () => {
    const assets = files.filter(({ path }) => path.startsWith("dist/page/assets/"));
    expect(assets.map(({ path }) => path.slice(path.lastIndexOf("."))).sort()).toEqual([".css", ".js"]);
    expect(assets.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(200_000);
  });

  test("publint finds no fault", async () => {
    const { stdout } = await run(tool("publint"), ["--strict", tarball]);
    expect(stdout).toContain("All good");
  }, 60_000);

  test("its types are right for every kind of import", async () => {
    const { stdout } = await run(tool("attw"), [tarball, "--format", "json"], { maxBuffer: 1e8 });
    expect((JSON.parse(stdout) as { analysis: { problems: unknown[] } }).analysis.problems).toEqual([]);
  }, 60_000);
});

describe("a user's project", () => {
  // Compiled, not run: a type that is too wide fails in `exactly`, one that is too narrow or wrong where it is used.
  const SOURCE = {
    "use.mts": `import { evaluate, experiment } from "llama-steer/experiments";
      import { calibrate, compose, extract, loadModel, replay, schedule, SteeringVector, type CalibrationBaseline, type Candidate, type GateReading, type GeneratedToken, type GenerationResult, type Model, type SteeringSpec } from "llama-steer";
      type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;
      function exactly<A, B>(..._same: Same<A, B> extends true ? [] : [never]): void {}
      declare const model: Model, vector: SteeringVector;
      exactly<GeneratedToken["readings"][number], { alpha: number; kl: number | null; gate?: GateReading }>();
      exactly<GenerationResult["finishReason"], "length" | "end" | "stop">();
      exactly<GenerationResult["steering"], SteeringSpec[]>();
      exactly<ReturnType<typeof schedule.fixed>, { kind: "fixed"; alpha: number }>();
      exactly<Awaited<ReturnType<typeof extract>>, SteeringVector>();
      exactly<Awaited<ReturnType<typeof calibrate>>, { tried: Candidate[]; baselines: CalibrationBaseline[]; vector: SteeringVector | undefined }>();
      exactly<Awaited<ReturnType<Model["score"]>>, number[]>();
      exactly<SteeringVector["data"]["buffer"] extends ArrayBufferLike ? true : false, true>();
      export async function use(): Promise<string> {
        const stream = model.generate([1, 2], { steer: compose(vector.with(schedule.dynamic({ topP: 0.3 })), vector, [{ vector, schedule: (step) => 1 / (step + 1) }]), signal: AbortSignal.timeout(9) });
        for await (const { text, step } of stream) exactly<[typeof text, typeof step], [string, number]>();
        stream.steering[0]!.schedule = { kind: "window", to: 3 };
        model.generate("x", { steer: replay(stream.steering, await stream.result()), sampling: { temperature: 1 } });
        for await (const { data } of model.capture(["x"], { site: "resid_post", maxNewTokens: 1 })) exactly<typeof data, Float32Array>();
        const run = await experiment.single(model, { positive: "ITA", negative: "ENG", strategies: ["dynamic"] }, { out: "x" });
        exactly<NonNullable<typeof run>["records"][number]["deltaPerplexity"], number | null>();
        await using chat = await loadModel("tiny", { logger: (level) => exactly<typeof level, "debug" | "info" | "warn">() });
        return (await evaluate.detectLanguage(await chat.chat().say("x").text())).language;
      }
      // @ts-expect-error an unknown option
      loadModel("tiny", { layers: 1 });
      // @ts-expect-error a schedule without its kind
      model.generate("x", { steer: { vector, schedule: { alpha: 1 } } });
      // @ts-expect-error engine internals are nobody's
      model.createContext({});
      // @ts-expect-error a vector is not changed
      vector.layers = [1];`,
    "use.cts": `import { loadModel, type Model } from "llama-steer";
      import { results, type RunResults } from "llama-steer/experiments";
      export const model: Promise<Model> = loadModel("tiny");
      export const run: Promise<RunResults> = results.read("runs/tiny");`,
  };

  beforeAll(async () => {
    await mkdir(join(folder, "project", "node_modules", "@types"), { recursive: true });
    await run("tar", ["xf", tarball, "-C", join(folder, "project", "node_modules")]);
    await run("mv", ["package", "llama-steer"], { cwd: join(folder, "project", "node_modules") });
    // Its dependencies and no others are found: the package's own node_modules holds them, as in pnpm's layout.
    await symlink(join(root, "node_modules"), join(folder, "project", "node_modules", "llama-steer", "node_modules"));
    await symlink(join(root, "node_modules", "@types", "node"), join(folder, "project", "node_modules", "@types", "node"));
    for (const [name, text] of Object.entries(SOURCE)) await writeFile(join(folder, "project", name), text);
  });

  test.each(["node20", "nodenext"])("compiles against our declarations, all of which are checked, with module %s", async (module) => {
    const options = {
      module, target: "es2022", lib: ["es2023", "esnext.disposable"], strict: true, noEmit: true, exactOptionalPropertyTypes: true,
      skipLibCheck: false, types: ["node"],
    };
    await writeFile(join(folder, "project", "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: Object.keys(SOURCE) }));
    const { stdout } = await run(tool("tsc"), ["-p", join(folder, "project")], { cwd: join(folder, "project") }).catch((
      error: { stdout: string },
    ) => error);
    expect(stdout).toBe("");
  }, 120_000);

  test("requires it from CommonJS", async () => {
    const script = `const { loadModel, schedule, SteeringError } = require("llama-steer");
      const { experiment, spec } = require("llama-steer/experiments");
      console.log(typeof loadModel, schedule.fixed(2).alpha, new SteeringError("E_BUSY", "x").code, typeof experiment.single, spec.parseIndices("1-2"));`;
    const { stdout } = await run(process.execPath, ["-e", script], { cwd: join(folder, "project") });
    expect(stdout.trim()).toBe("function 2 E_BUSY function [ 1, 2 ]");
  });

  test("the README alone leads to a steered answer: install script, two programs, two commands", async () => {
    const project = join(folder, "project");
    const installed = join(project, "node_modules", "llama-steer");
    const env = { ...process.env, LLAMA_STEER_DATASETS: join(installed, "models", "tiny", "datasets"), NO_COLOR: "1" };
    await run("npm", ["run", "install", "--silent"], { cwd: installed });
    // As written, but with the model that needs no download, its vector, datasets and alphas.
    const readme = (await readFile(join(installed, "README.md"), "utf8"))
      .replaceAll(/gemma3-270m|qwen2\.5-coder-1\.5b-instruct/g, "tiny").replace("qwen2.5-coder-1.5b-cheerful", "tiny-italian")
      .replace("schedule.fixed(0.5)", "schedule.fixed(1)").replace(":fixed,2", ":fixed,1")
      .replaceAll(/(Why do leaves change colour in autumn|How does a microwave heat food)\?/g, "How do I plan the picnic?");
    const blocks = blocksOf(readme);
    for (const { text } of blocks.filter(({ kind }) => kind === "program").slice(0, 2)) {
      await writeFile(join(project, "program.mjs"), text);
      const { stdout } = await run(process.execPath, ["program.mjs"], { cwd: project, env });
      expect((await evaluate.detectLanguage(stdout)).language).toBe("ita");
    }
    const commands = blocks.filter(({ kind, notRun }) => kind === "commands" && !notRun).flatMap(({ text }) => commandsOf(text)).filter(
      (command) => command.startsWith("llama-steer "),
    );
    expect(commands.map((command) => command.split(" ")[1])).toEqual(["extract", "generate"]);
    for (const command of commands) {
      const words = command.match(/"[^"]*"|\S+/g)!.slice(1).map((word) => word.replaceAll('"', ""));
      const answered = await run(
        process.execPath, [join(installed, "dist", "bin", "llama-steer.js"), ...words, "--quiet"], { cwd: project, env },
      );
      expect(answered.stdout.trim()).not.toBe("");
    }
    await expect(run("test", ["-s", "italian.safetensors"], { cwd: project })).resolves.toBeDefined();
  }, 300_000);
});
