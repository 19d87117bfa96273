import { existsSync } from "node:fs";
import { join } from "node:path";
import staticFiles from "@fastify/static";
import type { FastifyInstance } from "fastify";
import { packageRoot } from "../../formats/index.js";

/** The page loads nothing from elsewhere, and nobody may frame it. */
const POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'", "base-uri 'none'",
  "form-action 'none'", "frame-ancestors 'none'",
].join("; ");
const IMMUTABLE = "public, max-age=31536000, immutable";
const NO_PAGE = "This is llama-steer's server. Its page is not installed; docs/server.md describes the API.\n";

/** Where the package has its page. */
export function ownPage(): string {
  return join(packageRoot(), "dist", "page");
}

/** Serves the page's files; without them, a line of text. */
export async function addPage(app: FastifyInstance, folder: string): Promise<void> {
  if (!existsSync(join(folder, "index.html"))) {
    app.get("/", async (_, reply) => reply.type("text/plain; charset=utf-8").send(NO_PAGE));
    return;
  }
  await app.register(staticFiles, {
    root: folder, dotfiles: "ignore", cacheControl: false,
    setHeaders: (response, path) => {
      response.setHeader("content-security-policy", POLICY);
      response.setHeader("cache-control", /[\\/]assets[\\/]/.test(path) ? IMMUTABLE : "no-cache"); // Vite hashes the names of assets
    },
  });
}
