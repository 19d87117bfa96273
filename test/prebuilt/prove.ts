// Tries the prebuilt addons, as far as this machine can: `npm run prebuilt:prove [-- PLATFORM...]`. What it lacks is skipped out loud.
//   --node-llama-cpp VERSION   builds the addons anew, for another version, where npm's registry lacks the libraries of the pinned one
// Exits with 0 if everything was proved, 1 if something failed, 2 if something was skipped.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { packageRoot } from "#native/prebuilt";
import { findInstallation } from "../../lib/native/index.js";
import { otherPackage } from "./other-package.js";
import { PROOFS, type Proof } from "./proofs.js";
import { Missing, run } from "./stage.js";

/** Of these it is only checked that everything they take from elsewhere is there. */
const NOT_RUN = ["mac-arm64-metal", "mac-x64"];

type Attempt = Omit<Proof, "try"> & { try: () => string };

async function prove(folder: string): Promise<number> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { "node-llama-cpp": { type: "string" } } });
  const platforms = positionals.length > 0 ? positionals : [...PROOFS.map(({ platform }) => platform), ...NOT_RUN];
  const version = values["node-llama-cpp"];
  const { addonPath } = findInstallation();
  const signal = AbortSignal.timeout(4 * 3600_000);
  const root = version ? await otherPackage(version, platforms, addonPath, folder, signal) : packageRoot;
  const downloads = join(packageRoot, "build", "cross", "downloads");
  mkdirSync(downloads, { recursive: true });
  const outcomes = platforms.map((platform) => {
    if (!existsSync(join(root, "build", "prebuilt", platform))) return outcomeOf(notBuilt(platform), version);
    const proof = PROOFS.find((each) => each.platform === platform) ?? onlySymbols(platform);
    const place = { root, folder: mkdtempSync(join(folder, `${platform}-`)), downloads };
    return outcomeOf({ ...proof, try: () => proof.try(place) }, version);
  });
  return outcomes.includes("failed") ? 1 : outcomes.includes("skipped") ? 2 : 0;
}

function outcomeOf({ platform, how, try: attempt }: Attempt, version?: string): "proved" | "failed" | "skipped" {
  console.log(`\n${platform}${version ? ` with node-llama-cpp ${version}` : ""}: ${how}`);
  try {
    console.log(attempt().replace(/^/gm, "  "));
    return "proved";
  } catch (error) {
    const isMissing = error instanceof Missing;
    console.log(`  ${isMissing ? "SKIPPED, this machine lacks" : "FAILED"}: ${(error as Error).message}`);
    return isMissing ? "skipped" : "failed";
  }
}

function notBuilt(platform: string): Attempt {
  return { platform, how: "", try: () => { throw new Missing(`an addon for it. Run: npm run prebuilt -- ${platform}`); } };
}

function onlySymbols(platform: string): Proof {
  return {
    platform,
    how: "not run; whether llama.cpp's libraries, Node-API and the system export every symbol that it takes",
    try: ({ root }) => run([process.execPath, join(root, "native", "prebuild.mjs"), "--symbols", platform], { cwd: root }).trim(),
  };
}

const folder = mkdtempSync(join(tmpdir(), "llama-steer-prove-"));
try {
  process.exitCode = await prove(folder);
} catch (error) {
  console.error(`llama-steer: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
