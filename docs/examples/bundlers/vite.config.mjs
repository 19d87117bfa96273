// npx vite build && node vite-server.mjs --built
import { defineConfig } from "vite";

export default defineConfig({
  ssr: { external: ["llama-steer"] }, // and with it llama-steer/experiments
  build: { ssr: "page.mjs", rolldownOptions: { output: { entryFileNames: "page.mjs" } } },
});
