import { join } from "node:path";
import { SteeringError } from "../errors.js";
import { downloadFile, type DownloadOptions, type Expected } from "./download.js";
import { HttpRefusal, exchange, refusal, type ExchangeOptions } from "./http.js";

/** One file of a Hugging Face repository. */
export interface HubFile {
  /** Of a dataset rather than a model. */
  isDataset: boolean;
  owner: string;
  repo: string;
  path: string;
  revision: string;
}

const MAX_REDIRECTS = 3;

/** Whether a model argument is an `hf:` address rather than a name or a path. */
export function isHubAddress(text: string): boolean {
  return text.startsWith("hf:");
}

/** Parse `hf:owner/repo/path/file.gguf[@revision]` or `hf:datasets/owner/repo/file[@revision]`, revision `main` by default; E_BAD_ARGUMENT. */
export function parseHubAddress(address: string): HubFile {
  const match = /^hf:(datasets\/)?([\w.-]+)\/([\w.-]+)\/([^@\\:*?"<>|]+)(?:@([\w./-]+))?$/.exec(address);
  const [, dataset, owner, repo, path, revision = "main"] = match ?? [];
  const folders = [owner, repo, ...(path ?? "").split("/"), ...revision.split("/")];
  // Every part becomes a folder name below the models folder.
  if (!owner || !repo || !path || folders.some((part) => !part || part === "." || part === "..")) {
    throw new SteeringError("E_BAD_ARGUMENT", `"${address}" is not a model address; expected hf:owner/repo/file.gguf or hf:owner/repo/file.gguf@revision`);
  }
  return { isDataset: dataset !== undefined, owner, repo, path, revision };
}

/** Where the file of an `hf:` address lands, relative to the models folder. */
export function hubFolder(file: HubFile): string {
  return join("hf", ...(file.isDataset ? ["datasets"] : []), file.owner, file.repo, file.revision.replaceAll("/", "--"), ...file.path.split("/"));
}

/**
 * Download an `hf:` address to `target` from HF_ENDPOINT with HF_TOKEN;
 * without an expected hash the one that the hub states is verified. E_DOWNLOAD, E_ABORTED.
 */
export async function downloadFromHub(address: string, target: string, options: DownloadOptions): Promise<void> {
  const url = hubUrl(parseHubAddress(address));
  const token = process.env["HF_TOKEN"];
  // fetch drops this header when the hub redirects to another host.
  const authorised = { ...options, ...(token ? { headers: { authorization: `Bearer ${token}` } } : {}) };
  try {
    const expected = options.expected?.sha256 ? options.expected : await hubExpectation(url, authorised);
    await downloadFile(url, target, { ...authorised, expected });
  } catch (error) {
    if (!(error instanceof HttpRefusal) || ![401, 403].includes(error.status)) throw error;
    throw new SteeringError("E_DOWNLOAD", `${error.message} (no such repository, or a gated one: set HF_TOKEN)`, { cause: error });
  }
}

function hubUrl({ isDataset, owner, repo, path, revision }: HubFile): string {
  const endpoint = (process.env["HF_ENDPOINT"] || "https://huggingface.co").replace(/\/+$/, "");
  const encodedPath = path.split("/").map(encodeURIComponent).join("/");
  return `${endpoint}/${isDataset ? "datasets/" : ""}${owner}/${repo}/resolve/${encodeURIComponent(revision)}/${encodedPath}?download=true`;
}

/**
 * Size in bytes and SHA-256 that the hub states for a large file. They are headers of its own answer,
 * before the redirect to the storage host; redirects within the hub (renamed repositories) are followed.
 */
async function hubExpectation(url: string, options: ExchangeOptions, redirects = 0): Promise<Expected> {
  const answer = await exchange(url, { method: "HEAD", redirect: "manual" }, options, async (response) => {
    if (response.status >= 400) throw refusal(response);
    return response;
  });
  const location = answer.headers.get("location");
  if (location?.startsWith("/") && redirects < MAX_REDIRECTS) {
    return hubExpectation(new URL(location, url).href, options, redirects + 1);
  }
  const etag = (answer.headers.get("x-linked-etag") ?? answer.headers.get("etag") ?? "").replaceAll('"', "");
  const size = Number(answer.headers.get("x-linked-size"));
  return {
    // Small files have a git hash (40 digits) here, which is not a hash of the content.
    sha256: /^[0-9a-f]{64}$/.test(etag) ? etag : undefined,
    size: size > 0 ? size : undefined,
  };
}
