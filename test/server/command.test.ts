import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { afterEach, expect, test } from "@jest/globals";
import { EXIT } from "../../bin/exit-codes.js";
import { addressFrom, runCommand, startCommand } from "../support/command.js";
import { localServer } from "../support/io-helpers.js";
import { scratch } from "../support/tiny-files.js";

const children: ChildProcess[] = [];
afterEach(() => { for (const child of children.splice(0)) child.kill("SIGKILL"); });

test("serve goes on when nobody reads its log any more, and ends in order", async () => {
  using space = scratch();
  const child = startCommand(["serve", "tiny", "--port", "0", "--threads", "1"], { LLAMA_STEER_HOME: space.folder });
  children.push(child);
  const url = await addressFrom(child.stdout);
  child.stderr.destroy(); // every further line of the log is an EPIPE
  for (let n = 0; n < 3; n++) {
    expect((await fetch(`${url}/v1/models`)).status).toBe(200);
    await new Promise((resolve) => { setTimeout(resolve, 30); });
  }
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([EXIT.ok, null]);
});

test("serve says which port is in use, and ends with a code", async () => {
  using space = scratch();
  const { host } = await localServer();
  const port = host.split(":")[1]!;
  const { code, stderr, stdout } = await runCommand(["serve", "tiny", "--port", port, "--threads", "1"], {
    cwd: space.folder, env: { LLAMA_STEER_HOME: space.folder },
  });
  expect({ code, stdout }).toEqual({ code: EXIT.failure, stdout: "" });
  expect(stderr).toContain(`port ${port} of 127.0.0.1 is in use; choose another one, or 0 for any free one [E_BUSY]`);
});
