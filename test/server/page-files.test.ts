import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { expect, test } from "@jest/globals";
import { startServer } from "../support/served.js";
import { scratch } from "../support/tiny-files.js";

const FILES = {
  "index.html": "<!doctype html>", "icon.svg": "<svg/>", "a b.png": "PNG", "assets/index-D_a-1.js": "1", "assets/index-x.css": "a{}",
  "assets/deep/font.woff2": "F", ".hidden.html": "no", "assets/.map.json": "no", "a:id.html": "no", "*.html": "no", "model.gguf": "no",
  "folder.js/index.js": "2", "openapi.json": "no",
};

test("the page's files, with their types, are all that is served of its folder", async () => {
  using space = scratch();
  for (const [name, text] of Object.entries(FILES)) {
    mkdirSync(dirname(space.path(`page/${name}`)), { recursive: true });
    writeFileSync(space.path(`page/${name}`), text);
  }
  writeFileSync(space.path("beside.html"), "no");
  mkdirSync(space.path("vectors"));
  await using server = await startServer(space, { page: space.path("page"), models: ["tiny"] });
  const asked = async (path: string, method = "GET"): Promise<unknown[]> => {
    const { status, headers } = await fetch(server.url + path, { method });
    return status === 200 ? [headers.get("content-type")!.split(";")[0], headers.get("cache-control")] : [status];
  };
  for (const path of ["/", "/index.html"]) for (const method of ["GET", "HEAD"]) {
    expect(await asked(path, method)).toEqual(["text/html", "no-cache"]);
  }
  expect((await fetch(server.url)).headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(await (await fetch(`${server.url}/?model=tiny`)).text()).toBe("<!doctype html>");
  expect(await asked("/icon.svg")).toEqual(["image/svg+xml", "no-cache"]);
  expect(await asked("/a%20b.png")).toEqual(["image/png", "no-cache"]);
  const kept = "public, max-age=31536000, immutable";
  expect(await asked("/assets/index-D_a-1.js")).toEqual(["text/javascript", kept]);
  expect(await asked("/assets/index-x.css")).toEqual(["text/css", kept]);
  expect(await asked("/assets/deep/font.woff2")).toEqual(["font/woff2", kept]);
  expect(await asked("/folder.js/index.js")).toEqual(["text/javascript", "no-cache"]);
  expect(await (await fetch(`${server.url}/openapi.json`)).json()).toHaveProperty("openapi"); // the API's own, not the page's
  const elsewhere = [
    "/.hidden.html", "/assets/.map.json", "/a:id.html", "/anything.html", "/*.html", "/model.gguf", "/folder.js", "/assets", "/assets/",
    "/none.html", "/%2e%2e/beside.html", "/..%2fbeside.html", "/assets/..%2f..%2fbeside.html", "//beside.html",
  ];
  for (const path of elsewhere) expect([path, ...await asked(path)]).toEqual([path, 404]);
});
