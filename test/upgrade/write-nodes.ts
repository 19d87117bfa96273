// Writes test/golden/nodes anew: `npm run golden:nodes`.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { findNodeLlamaCpp } from "#native/prebuilt";
import { goldenPath, type NodeGolden, type NodeLists } from "../support/site-nodes.js";

const LIST = fileURLToPath(new URL("./list-nodes.js", import.meta.url));

for (const which of ["tiny", "every"] as const) {
  const { version, release } = findNodeLlamaCpp()!;
  const architectures = JSON.parse(execFileSync(process.execPath, [LIST, which], { encoding: "utf8", maxBuffer: 1 << 26 })) as NodeLists;
  const golden: NodeGolden = { nodeLlamaCpp: version, llamaCpp: release, architectures };
  writeFileSync(goldenPath(which), `${JSON.stringify(golden, null, 1)}\n`);
  console.log(`${goldenPath(which)}: ${Object.keys(architectures).length} architectures`);
}
