// Prints the nodes of hook sites, by architecture, as one object of JSON: `list-nodes.js tiny` of the architectures of
// test/support/tiny-architectures.ts, `list-nodes.js every` of all that llama.cpp has, each in a process of its own, since
// llama.cpp may end it; `list-nodes.js ARCHITECTURE` of one of those.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { makeArchitecture } from "../support/ask-loader.js";
import { OTHER_KINDS } from "../support/every-architecture.js";
import { architectureNames } from "../support/llama-cpp.js";
import { nodesOf, tinyNodes, type NodeLists } from "../support/site-nodes.js";
import { ARCHITECTURES, OTHER_ARCHITECTURES } from "../support/tiny-architectures.js";
import { scratch } from "../support/tiny-files.js";

const THIS = fileURLToPath(import.meta.url);
const LONGEST_MS = 120_000;

/** Of every language model's architecture that the installed llama.cpp has; where no model can be made of it, the reason. */
async function everyNodes(): Promise<NodeLists> {
  const lists: NodeLists = {};
  for (const name of architectureNames().filter((name) => !(name in OTHER_KINDS))) {
    const printed = await promisify(execFile)(process.execPath, [THIS, name], { timeout: LONGEST_MS }).catch(() => undefined);
    lists[name] = printed ? (JSON.parse(printed.stdout) as NodeLists)[name]! : ["no model: llama.cpp ends the process with it"];
  }
  return lists;
}

async function oneArchitecture(name: string): Promise<NodeLists> {
  using space = scratch();
  const path = space.path("model.gguf");
  try {
    await makeArchitecture(name, path);
    return { [name]: await nodesOf(path) };
  } catch (error) {
    return { [name]: [`no model: ${(error as Error).message.replace(path, "FILE")}`] };
  }
}

const [what] = process.argv.slice(2) as [string];
const tiny = [...ARCHITECTURES, ...OTHER_ARCHITECTURES];
console.log(JSON.stringify(await (what === "tiny" ? tinyNodes(tiny) : what === "every" ? everyNodes() : oneArchitecture(what))));
