// A registry for one test: npm's, and in it the package as it would be published.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { platformName } from "#native/prebuilt";

/**
 * Serves `tarball` as `manifest`'s only version, and everything else by redirecting to `upstream`. Of node-llama-cpp's platform packages it
 * lists only this machine's: a mirror may lack the others, and those for GPUs take 600 MB. Resolves to the server and its address.
 */
export async function startRegistry(upstream, tarball, manifest) {
  const bytes = readFileSync(tarball);
  const { name, version, dependencies } = manifest;
  const server = createServer((request, response) => {
    const json = (body) => response.setHeader("content-type", "application/json").end(JSON.stringify(body));
    if (request.url === `/${name}`) {
      const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
      const dist = { tarball: `${url}/${name}/-/${name}-${version}.tgz`, integrity };
      json({ name, "dist-tags": { latest: version }, versions: { [version]: { ...manifest, hasInstallScript: true, dist } } });
    } else if (request.url.startsWith(`/${name}/-/`)) response.end(bytes);
    else if (request.url === "/node-llama-cpp") void nodeLlamaCpp(upstream, dependencies["node-llama-cpp"]).then(json);
    else response.writeHead(302, { location: `${upstream}${request.url}` }).end();
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  const url = `http://localhost:${server.address().port}`;
  return { server, url };
}

async function nodeLlamaCpp(upstream, version) {
  const all = await (await fetch(`${upstream}/node-llama-cpp`)).json();
  const { [version]: only } = all.versions;
  const here = `@node-llama-cpp/${platformName()}`;
  return { ...all, "dist-tags": { latest: version }, versions: { [version]: { ...only, optionalDependencies: { [here]: version } } } };
}
