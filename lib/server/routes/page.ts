import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { extname, join, relative } from "node:path";
import type { FastifyInstance } from "fastify";
import { packageRoot } from "../../formats/index.js";

/** The page loads nothing from elsewhere, and nobody may frame it. */
const POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'", "base-uri 'none'",
  "form-action 'none'", "frame-ancestors 'none'",
].join("; ");
const IMMUTABLE = "public, max-age=31536000, immutable";
/** What a page may consist of. */
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".woff2": "font/woff2",
};
/** Paths without hidden files, and without what a route gives a meaning to. */
const PLAIN = /^(?!\.)(?!.*\/\.)[^:*]+$/;
const NO_PAGE = "This is llama-steer's server. Its page is not installed; docs/server.md describes the API.\n";

/** Where the package has its page. */
export function ownPage(): string {
  return join(packageRoot(), "dist", "page");
}

/**
 * Serves the page's few files from memory, as they are now, by their exact names; without `index.html`, a line of text. Call
 * it after the routes of the API, which go before files of their names.
 */
export async function addPage(app: FastifyInstance, folder: string): Promise<void> {
  if (!existsSync(join(folder, "index.html"))) {
    app.get("/", async (_, reply) => reply.type("text/plain; charset=utf-8").send(NO_PAGE));
    return;
  }
  const found = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((each) => each.isFile());
  const names = found.map(({ parentPath, name }) => relative(folder, join(parentPath, name)).replaceAll("\\", "/"));
  for (const name of names) {
    const type = TYPES[extname(name)];
    if (type === undefined || !PLAIN.test(name)) continue;
    const bytes = await readFile(join(folder, name));
    const kept = name.startsWith("assets/") ? IMMUTABLE : "no-cache"; // Vite hashes the names of assets
    for (const url of name === "index.html" ? ["/", "/index.html"] : [`/${name}`]) {
      if (app.hasRoute({ method: "GET", url })) continue;
      app.route({
        method: ["GET", "HEAD"], url,
        handler: async (_, reply) => reply.headers({ "content-security-policy": POLICY, "cache-control": kept }).type(type).send(bytes),
      });
    }
  }
}
