import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The page works offline and under a strict Content Security Policy: everything in files of its own, nothing inline. */
export default defineConfig({
  root: at("."),
  base: "./",
  logLevel: "warn",
  build: {
    outDir: at("../../dist/page"),
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: false,
  },
});
