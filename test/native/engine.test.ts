import { execFile } from "node:child_process";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { packageRoot } from "#native/prebuilt";
import { expect, test } from "@jest/globals";
import { findInstallation } from "../../lib/native/index.js";

const LIBRARY_PATH = process.platform === "darwin" ? "DYLD_LIBRARY_PATH" : "LD_LIBRARY_PATH";
const run = promisify(execFile);
/** On Windows, llama.cpp would be built from source first. */
const testHere = process.platform === "win32" ? test.skip : test;

testHere("the engine's own tests (native/unit)", async () => {
  const { LD_PRELOAD: _sanitizer, ...env } = process.env; // the compiler is not to run under it
  await run(process.execPath, [join(packageRoot, "native", "build.mjs"), "--unit"], { env });
  const { librariesFolder } = findInstallation();
  const libraries = [librariesFolder, env[LIBRARY_PATH]].filter(Boolean).join(delimiter);
  const { stdout, signal } = await run(
    join(packageRoot, "build", "unit", "engine-tests"), [librariesFolder], { env: { ...env, [LIBRARY_PATH]: libraries } },
  )
    .then((output) => ({ ...output, signal: null }), (error: { stdout: string; signal: string | null }) => error);
  const lines = stdout.trim().split("\n");
  expect(lines.filter((line) => !line.startsWith("ok "))).toEqual([]);
  expect(signal).toBeNull();
  expect(lines.length).toBeGreaterThan(50);
}, 300_000);
