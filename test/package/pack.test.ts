import { execFile } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";

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
      "package.json", "README.md", "LICENSE", "CMakeLists.txt", "binding.gyp", "dist/lib/index.js", "dist/lib/index.d.ts", "dist/lib/index.cjs", "dist/lib/index.d.cts",
      "dist/bin/llama-steer.js", "native/build.mjs", "native/prebuilt.mjs", "native/gpu.mjs", "native/addon.cc", "models/registry.json", "models/tiny/tiny.gguf", "models/tiny/tiny-formality.gguf",
      "models/datasets/ITA/ITA_train.json", "docs/errors.md", "docs/steering.schema.json",
    ]));
    expect(paths().filter((path) => /^(test|build|node_modules|runs|\.ci)\/|^dist\/test|\.map$|\.tsbuildinfo$|(?<!\.d)\.m?ts$|\.py$/.test(path))).toEqual([]);
  });

  test("is small: the embedded models are most of it", () => {
    const size = (of: (path: string) => boolean): number => files.filter(({ path }) => of(path)).reduce((sum, each) => sum + each.size, 0);
    expect(size((path) => path.endsWith(".gguf"))).toBeLessThan(10e6);
    expect(size((path) => !path.endsWith(".gguf"))).toBeLessThan(5e6);
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
  const SOURCE = {
    "use.mts": `import { loadModel, schedule, SteeringVector, type GeneratedToken } from "llama-steer";
      const token: GeneratedToken["readings"][number]["kl"] = null;
      export const promise: Promise<{ dispose(): void }> = loadModel("tiny");
      export const given: 1.5 extends ReturnType<typeof schedule.fixed>["alpha"] ? true : never = true;
      export { token, SteeringVector };
      // @ts-expect-error an unknown option
      loadModel("tiny", { layers: 1 });`,
    "use.cts": `import { loadModel, type Model } from "llama-steer";
      export const model: Promise<Model> = loadModel("tiny");`,
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
    const options = { module, target: "es2022", lib: ["es2023", "esnext.disposable"], strict: true, noEmit: true, skipLibCheck: false, types: ["node"] };
    await writeFile(join(folder, "project", "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: Object.keys(SOURCE) }));
    const { stdout } = await run(tool("tsc"), ["-p", join(folder, "project")], { cwd: join(folder, "project") }).catch((error: { stdout: string }) => error);
    expect(stdout).toBe("");
  }, 120_000);

  test("requires it from CommonJS", async () => {
    const script = "const { loadModel, schedule, SteeringError } = require('llama-steer'); console.log(typeof loadModel, schedule.fixed(2).alpha, new SteeringError('E_BUSY', 'x').code)";
    const { stdout } = await run(process.execPath, ["-e", script], { cwd: join(folder, "project") });
    expect(stdout.trim()).toBe("function 2 E_BUSY");
  });
});
