import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { HOOK_SITES } from "../../lib/vector/index.js";
import { OTHER_KINDS } from "../support/every-architecture.js";
import { scratch } from "../support/tiny-files.js";
import type { Measured } from "./measure.js";

const MEASURE = fileURLToPath(new URL("./measure.js", import.meta.url));
/** They take two seconds on a quiet machine. */
const LONGEST_MS = 280_000;

/** Make a tiny model of an architecture and measure it, in a process of its own. */
export function measured(architecture: string): Measured {
  const kind = OTHER_KINDS[architecture];
  if (kind !== undefined) return { architecture, reason: kind };
  using space = scratch();
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [MEASURE, architecture, space.path("model.gguf")], {
    encoding: "utf8", timeout: LONGEST_MS, env: { ...process.env, GGML_NO_BACKTRACE: "1" },
  });
  if (status === 0) return JSON.parse(stdout) as Measured;
  const [, assertion] = /([\w.-]+:\d+: .+)/.exec(stderr) ?? [];
  return { architecture, reason: `llama.cpp ends the process with it (${assertion ?? signal ?? `exit code ${status}`})` };
}

/** An architecture's line in docs/architectures.md. */
export function line({ architecture, reason, nLayer, sites, hasWholeSequences }: Measured): string {
  if (!sites) return `| ${architecture} | ${reason!.replaceAll("|", "\\|")} |`;
  const cells = HOOK_SITES.map((site) => (sites[site].length === 0 ? "–" : sites[site].length === nLayer ? "all" : "some"));
  return `| ${[architecture, ...cells, hasWholeSequences ? "whole prompts" : "any beginning"].join(" | ")} |`;
}

/** docs/architectures.md. */
export function page(all: readonly Measured[]): string {
  const generating = all.filter(({ sites }) => sites);
  const steered = generating.filter(({ sites }) => HOOK_SITES.some((site) => sites![site].length > 0));
  return `# Architectures

Written by \`npm run docs:architectures\`, which makes a tiny random model of every architecture that the bundled llama.cpp
knows, ${all.length} in all, and measures it: ${generating.length} generate, and ${steered.length} of those can be steered. \`npm run test:architectures\` holds this
page to what is measured.

## What can be steered, and where

"all": in every layer; "some": in the layers that have such a part, for instance in those of a hybrid that have attention. Whoever asks
for all layers gets those; another one is refused by its number. What each site is: [architecture](architecture.md), "Hook sites".

For every site in this table the following was measured, on every row: W_O · \`head_out\` = \`attn_out\`; \`resid_post\` − \`resid_mid\` = \`mlp_out\`; what
attention adds to the stream is \`attn_out\`, up to a bias, a norm or a factor after it; answers with Fixed and Dyn are the same alone and in a
batch with others; and Dyn's alphas are those of streams that are computed anew at every step. The exceptions:

- gemma4 and talkie add a part of the embeddings to the stream after the MLP, and gemma4 scales it: \`resid_post\` − \`resid_mid\` is more than \`mlp_out\`.
- falcon-h1 adds a state-space model's output beside the attention's: \`resid_mid\` holds both.
- cogvlm's graph in llama.cpp gives other logits for a row when other rows are in its batch, steered or not: Dyn is not what is computed anew.

Without \`resid_mid\`, attention and MLP stand side by side, or the layer has only one of them. Without any, the architecture keeps something
else than one stream to which each part is added (hyper-connections, several streams).

"Shared": what generations of one model share of prompts that begin alike. A recurrent state cannot be cut at a token, so there a prompt
is shared as a whole, by one that begins with all of it, or not at all.

| architecture | ${HOOK_SITES.join(" | ")} | shared |
|---|${HOOK_SITES.map(() => "---|").join("")}---|
${generating.map(line).join("\n")}

## What does not generate

| architecture | why |
|---|---|
${all.filter(({ sites }) => !sites).map(line).join("\n")}
`;
}
