// Runs before `npm start` and `npm test`. Installs, builds and compiles whatever is missing or out of date in a clone.
//   node native/setup.mjs [FOLDER FLAG]   use another build of the addon: its folder in build/ and build.mjs's flag for it
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawnArguments } from "./spawn.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const path = (...parts) => join(root, ...parts);

/** Modification time of a file, or of the newest file below a folder; 0 if it does not exist. */
function changed(target) {
  if (!existsSync(target)) return 0;
  const stats = statSync(target);
  if (!stats.isDirectory()) return stats.mtimeMs;
  return Math.max(stats.mtimeMs, ...readdirSync(target).map((name) => changed(join(target, name))));
}

function step(title, command, args) {
  console.error(`> ${title}`);
  const [program, given, options] = spawnArguments(command, args);
  const result = spawnSync(program, given, { ...options, cwd: root, stdio: ["ignore", 2, 2] });
  if (result.status === 0) return;
  console.error(`llama-steer: "${[command, ...args].join(" ")}" failed; see the messages above`);
  process.exit(result.status ?? 1);
}

/** Remove compiled files without a source, which would still run as tests. */
function removeOrphans() {
  for (const folder of ["lib", "bin", "test"]) {
    const out = path("dist", folder);
    if (!existsSync(out)) continue;
    for (const name of readdirSync(out, { recursive: true })) {
      if (!name.endsWith(".js") || existsSync(path(folder, name.replace(/\.js$/, ".ts")))) continue;
      rmSync(join(out, name));
    }
  }
}

const installed = changed(path("node_modules", ".package-lock.json"));
if (installed < changed(path("package-lock.json"))) {
  step("installing packages, building the addon (about a minute the first time)", "npm", ["ci", "--no-audit", "--no-fund"]);
}
const newest = (folder) => Math.max(...readdirSync(path("native", folder))
  .filter((name) => /\.(cc|h)$/.test(name)).map((name) => changed(path("native", folder, name))));
const sources = Math.max(changed(path("CMakeLists.txt")), newest("engine"), newest("."));
const [folder = "addon", ...flags] = process.argv.slice(2);
if (changed(path("build", folder, "built.json")) < sources) {
  step(`building the addon (build/${folder})`, process.execPath, [path("native", "build.mjs"), ...flags]);
}
removeOrphans();
step("compiling TypeScript", process.execPath, [path("node_modules", "typescript", "bin", "tsc"), "-b"]);
if (changed(path("dist", "page", "index.html")) < changed(path("lib", "page"))) step("building the page", "npm", ["run", "build:page"]);
