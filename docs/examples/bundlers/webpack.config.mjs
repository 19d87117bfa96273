// npx webpack && node dist/app.mjs
import { resolve } from "node:path";

export default {
  target: "node20",
  mode: "production",
  entry: "./app.mjs",
  output: { path: resolve("dist"), filename: "app.mjs", module: true },
  experiments: { outputModule: true },
  externals: /^llama-steer(\/|$)/, // and with it llama-steer/experiments
  externalsType: "module",
};
