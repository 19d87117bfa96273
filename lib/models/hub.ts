import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { SteeringError } from "../errors.js";
import { contentProblem, partNames } from "../formats/index.js";
import { downloadPartial, landPartial, mismatch, type DownloadOptions, type Expected } from "./download.js";
import { addressFrom, HttpRefusal, exchange, refusal, type ExchangeOptions } from "./http.js";

/** One file of a Hugging Face repository. */
export interface HubFile {
  /** Whether the repository holds a dataset rather than a model. */
  isDataset: boolean;
  owner: string;
  repo: string;
  path: string;
  revision: string;
}

const MAX_REDIRECTS = 3;
/** File systems allow names of 255 bytes, some of which endings such as `.partial.etag` need. */
const MAX_NAME_BYTES = 200;
const MAX_ADDRESS_BYTES = 1000;

/** Whether a model argument is an `hf:` address rather than a name or a path. */
export function isHubAddress(text: string): boolean {
  return text.startsWith("hf:");
}

/**
 * Parse `hf:owner/repo/path/file.gguf[@revision]` or `hf:datasets/owner/repo/file[@revision]`; revision `main` by default.
 * Throws E_BAD_ARGUMENT.
 */
export function parseHubAddress(address: string): HubFile {
  const match = /^hf:(datasets\/)?([\w.-]+)\/([\w.-]+)\/([^@\\:*?"<>|]+)(?:@([\w./-]+))?$/.exec(address);
  const [, dataset, owner, repo, path, revision = "main"] = match ?? [];
  const folders = [owner ?? "", repo ?? "", ...(path ?? "").split("/"), ...revision.split("/")];
  if (!owner || !repo || !path || Buffer.byteLength(address) > MAX_ADDRESS_BYTES || !folders.every(isFolderName)) {
    const shown = JSON.stringify(address.length > 100 ? `${address.slice(0, 99)}…` : address);
    const expected = "expected hf:owner/repo/file.gguf or hf:owner/repo/file.gguf@revision";
    throw new SteeringError("E_BAD_ARGUMENT", `${shown} is not a model address; ${expected}`);
  }
  return { isDataset: dataset !== undefined, owner, repo, path, revision };
}

/** Whether a part of an address can name a folder on every system: Windows drops a trailing space or dot. */
function isFolderName(part: string): boolean {
  return /^[^\s\p{Cc}][^\p{Cc}]*$/u.test(part) && !/[. ]$/.test(part) && Buffer.byteLength(part) <= MAX_NAME_BYTES;
}

/** Path of the downloaded file of an `hf:` address, relative to the models folder. */
export function hubFolder({ isDataset, owner, repo, revision, path }: HubFile): string {
  return join("hf", ...(isDataset ? ["datasets"] : []), owner, repo, revision.replaceAll("/", "--"), ...path.split("/"));
}

/**
 * Download an `hf:` address to `target` from HF_ENDPOINT with HF_TOKEN. The address of the first part of a split model downloads
 * all its parts; none gets its final name before all are complete. Without an expected hash, the hub's own is verified.
 * Throws E_DOWNLOAD, E_BAD_ARGUMENT (HF_ENDPOINT, HF_TOKEN), E_ABORTED.
 */
export async function downloadFromHub(address: string, target: string, options: DownloadOptions): Promise<void> {
  const file = parseHubAddress(address);
  const token = hubToken();
  // fetch drops this header when the hub redirects to another host.
  const authorised = { ...options, ...(token ? { headers: { authorization: `Bearer ${token}` } } : {}) };
  const paths = partNames(file.path);
  const isSplit = paths.length > 1;
  const parts: Part[] = [];
  for (const [no, path] of paths.entries()) {
    const url = hubUrl({ ...file, path });
    const name = isSplit ? basename(path) : undefined;
    const isKnown = options.expected?.sha256 !== undefined && !isSplit;
    const stated = isKnown ? options.expected : await naming(name, () => hubExpectation(url, authorised));
    const problem = (at: string): string | undefined => contentProblem(at, path, { no, count: paths.length });
    parts.push({ name, url, target: name === undefined ? target : join(dirname(target), name), expected: { ...stated, problem } });
  }
  const missing = await downloadParts(parts, target, authorised);
  if (isSplit) await rm(target, { force: true }); // without its first part a model does not load, so parts of two versions never mix
  for (const part of missing.reverse()) await landPartial(part.target);
}

interface Part {
  /** Name of the part; undefined if the model is not split. */
  name: string | undefined;
  url: string;
  target: string;
  expected: Expected;
}

/** Download the missing parts, and return them for renaming. */
async function downloadParts(parts: readonly Part[], first: string, options: DownloadOptions): Promise<Part[]> {
  const sizes = parts.map(({ expected }) => expected.size);
  const total = sizes.reduce<number | undefined>((sum, size) => (sum === undefined || size === undefined ? undefined : sum + size), 0);
  const landingWasCut = parts.length > 1 && !existsSync(first);
  const missing: Part[] = [];
  let before = 0;
  for (const part of parts) {
    const start = before;
    const onProgress = (done: number, size: number | undefined): void => {
      options.onProgress?.(start + done, parts.length > 1 ? total : size);
    };
    if (!(landingWasCut && await hasLanded(part))) {
      await naming(part.name, () => downloadPartial(part.url, part.target, { ...options, onProgress, expected: part.expected }));
      missing.push(part);
    }
    before += part.expected.size ?? 0;
  }
  return missing;
}

async function hasLanded({ target, expected }: Part): Promise<boolean> {
  return expected.sha256 !== undefined && existsSync(target) && await mismatch(target, expected) === undefined;
}

/** Add the name of the part to a download error, and the likely cause if the hub refused access. */
async function naming<T>(name: string | undefined, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof SteeringError) || error.code !== "E_DOWNLOAD") throw error;
    const isClosed = error instanceof HttpRefusal && [401, 403].includes(error.status);
    if (!isClosed && name === undefined) throw error;
    const hint = isClosed ? " (no such repository, or a gated one: set HF_TOKEN)" : "";
    throw new SteeringError("E_DOWNLOAD", `${name === undefined ? "" : `${name}: `}${error.message}${hint}`, { cause: error });
  }
}

/** HF_TOKEN, if set. Throws E_BAD_ARGUMENT; no message may quote the token. */
function hubToken(): string | undefined {
  const token = process.env["HF_TOKEN"]?.trim();
  if (!token) return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new SteeringError("E_BAD_ARGUMENT", "HF_TOKEN contains spaces or invalid characters; expected a token such as hf_…");
}

function hubUrl({ isDataset, owner, repo, path, revision }: HubFile): string {
  const endpoint = addressFrom("HF_ENDPOINT", "https://huggingface.co");
  const encodedPath = path.split("/").map(encodeURIComponent).join("/");
  return `${endpoint}/${isDataset ? "datasets/" : ""}${owner}/${repo}/resolve/${encodeURIComponent(revision)}/${encodedPath}?download=true`;
}

/**
 * Size in bytes and SHA-256 that the hub states for a large file. They are headers of the hub's own response, before the
 * redirect to the storage host; redirects within the hub (renamed repositories) are followed.
 */
async function hubExpectation(url: string, options: ExchangeOptions, redirects = 0): Promise<Expected> {
  const answer = await exchange(url, { method: "HEAD", redirect: "manual" }, options, async (response) => {
    if (response.status >= 400) throw refusal(response);
    return response;
  });
  const location = answer.headers.get("location");
  if (location !== null && redirects < MAX_REDIRECTS && isSameOrigin(location, url)) {
    return hubExpectation(new URL(location, url).href, options, redirects + 1);
  }
  const etag = (answer.headers.get("x-linked-etag") ?? answer.headers.get("etag") ?? "").replaceAll('"', "");
  const size = answer.headers.get("x-linked-size") ?? "";
  return {
    // For small files this is a git hash (40 digits), not a hash of the content.
    sha256: /^[0-9a-f]{64}$/.test(etag) ? etag : undefined,
    size: /^[1-9]\d{0,14}$/.test(size) ? Number(size) : undefined,
  };
}

/** Whether a redirect stays on the host that may see the token: `//other/x` and `/\\other/x` do not. */
function isSameOrigin(location: string, url: string): boolean {
  return URL.canParse(location, url) && new URL(location, url).origin === new URL(url).origin;
}
