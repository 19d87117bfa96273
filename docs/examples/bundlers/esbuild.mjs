// node esbuild.mjs && node dist/app.mjs
import { build } from "esbuild";

await build({
  entryPoints: ["app.mjs"],
  outfile: "dist/app.mjs",
  bundle: true,
  platform: "node",
  format: "esm",
  external: ["llama-steer"], // and with it llama-steer/experiments
});
