// A registry for one test: npm's, and in it the package as it would be published.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { platformName } from "#native/prebuilt";

/**
 * Serves `tarball` as `manifest`'s only version, and everything else by redirecting to `upstream`. Of llama.cpp's libraries it lists only
 * this machine's, since a mirror may lack the others. Resolves to the server and its address.
 */
export async function startRegistry(upstream, tarball, manifest) {
  const bytes = readFileSync(tarball);
  const { name, version, optionalDependencies } = manifest;
  const here = `@node-llama-cpp/${platformName()}`;
  const served = { ...manifest, optionalDependencies: { [here]: optionalDependencies[here] }, hasInstallScript: true };
  const server = createServer((request, response) => {
    if (request.url === `/${name}`) {
      const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
      const dist = { tarball: `${url}/${name}/-/${name}-${version}.tgz`, integrity };
      const found = { name, "dist-tags": { latest: version }, versions: { [version]: { ...served, dist } } };
      response.setHeader("content-type", "application/json").end(JSON.stringify(found));
    } else if (request.url.startsWith(`/${name}/-/`)) response.end(bytes);
    else response.writeHead(302, { location: `${upstream}${request.url}` }).end();
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  const url = `http://localhost:${server.address().port}`;
  return { server, url };
}
