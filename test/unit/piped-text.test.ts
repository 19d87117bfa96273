import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";
import { EXIT } from "../../bin/exit-codes.js";

const COMMAND = fileURLToPath(new URL("../../bin/llama-steer.js", import.meta.url));

test.concurrent.each([
  ["generate", ["generate", "gemma3-270m", "--quiet"]], ["evaluate", ["evaluate", "text"]],
])("the first Ctrl-C ends the wait for standard input: %s", async (_, args) => {
  const child = spawn(process.execPath, [COMMAND, ...args], { cwd: tmpdir(), timeout: 20_000, killSignal: "SIGKILL" });
  let stderr = "";
  child.stderr.on("data", (data: Buffer) => { stderr += data.toString(); });
  // More than a pipe holds: once all of it is written, the command reads.
  child.stdin.write(Buffer.alloc(2 ** 21, "a"), () => child.kill("SIGINT"));
  const [code] = await once(child, "close") as [number | null];
  expect({ code, stderr }).toEqual({ code: EXIT.interrupted, stderr: expect.stringMatching(/^llama-steer: interrupted: .*\[E_ABORTED\]\n$/) });
}, 30_000);
