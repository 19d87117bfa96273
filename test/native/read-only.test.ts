import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";

const DIST = fileURLToPath(new URL("../../", import.meta.url));

/** Steers the model of the package at head_out, on the graph path, and prints how many tokens came. */
const STEER = `
  const { loadModel } = await import("${DIST}lib/index.js");
  const { generateText } = await import("${DIST}lib/generate/index.js");
  const { randomVector } = await import("${DIST}test/support/tiny-files.js");
  const model = await loadModel("tiny", { steeringPath: "graph", gpuLayers: 0, threads: 1, vet: false });
  const vector = await randomVector(model, 1);
  const { tokens } = await generateText(model, "steer", { steer: [{ vector, schedule: { kind: "fixed", alpha: 1 } }], maxNewTokens: 3 });
  console.log(tokens.length + " tokens");
`;

// Only root may make a file system of its own; what is left is said out loud.
const canMount = process.platform === "linux" && spawnSync("unshare", ["--mount", "true"]).status === 0;
if (!canMount) process.stderr.write(
  "\n*** no mount namespace can be made here: STEERING WITHOUT A FOLDER FOR TEMPORARY FILES IS NOT TESTED ***\n",
);

(canMount ? test : test.skip)("steering at head_out writes no temporary file: it works where /tmp and the others are read-only", () => {
  const readOnly = ["/tmp", "/var/tmp", "/dev/shm"].map(
    (folder) => `mount --bind ${folder} ${folder} && mount -o remount,ro,bind ${folder}`,
  ).join(" && ");
  const script = `${readOnly} && ! touch /tmp/llama-steer-probe 2>/dev/null && exec "$0" --input-type=module --eval "$1"`;
  const { status, stdout, stderr } = spawnSync("unshare", ["--mount", "sh", "-c", script, process.execPath, STEER], { encoding: "utf8" });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "3 tokens\n", stderr: "" });
});
