// Renders page.mjs on the server: `node vite-server.mjs` while you write it, `node vite-server.mjs --built` from Vite's bundle.
//   curl "localhost:3000/?question=How+do+I+plan+the+picnic"
import { createServer } from "node:http";

const vite = process.argv.includes("--built")
  ? undefined
  : await (await import("vite")).createServer({ server: { middlewareMode: true, ws: false }, appType: "custom" });

const server = createServer(async (request, response) => {
  const { searchParams } = new URL(request.url, "http://localhost");
  try {
    const { render } = await (vite ? vite.ssrLoadModule("/page.mjs") : import("./dist/page.mjs"));
    const page = await render(searchParams.get("question") ?? "How do I plan the picnic?");
    response.setHeader("content-type", "text/html; charset=utf-8").end(page);
  } catch (error) {
    response.writeHead(error.code?.startsWith("E_") ? 400 : 500).end(error.message);
  }
});
server.listen(Number(process.env.PORT ?? 3000), () => console.log(`listening on port ${server.address().port}`));
